"""A face for completion: the holes of rows filled, once or in many ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from vaekit.core import Batch
from vaekit.estimators.estimator import RandomState, VAEEstimator, seed_of
from vaekit.uses.complete import complete
from vaekit.uses.completion.draws import draw_completions


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAEImputer(OneToOneFeatureMixin, TransformerMixin, VAEEstimator):  # type: ignore[misc]
    """Fills what is missing (NaN) by its conditional mean given what was observed, or the most probable level.

    Source: Mattei and Frellsen, 2019.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> rows[7, 1] = np.nan
    >>> filled = VAEImputer(max_epochs=2, random_state=0).fit_transform(rows)
    >>> bool(np.isfinite(filled).all()), bool((filled == rows).sum() == rows.size - 1)
    (True, True)
    """

    samples: int = 200
    """Draws of the latents for each row with a hole."""

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows with or without holes; y is not read."""
        self._train(X, "vae")
        return self

    def transform(self, X: Any) -> Any:
        """The rows, with what was missing filled in; what was observed is as it was."""
        X = self._checked(X)
        X = self._checked(X)
        batch = Batch(self.reading_.encode(X).double())
        filled = complete(self._precise(), batch, self.samples, encode=torch.Tensor.double)
        return self.reading_.filled(X, filled.x)

    def draws(self, X: Any, n_draws: int = 5, random_state: RandomState = None) -> list[Any]:
        """So many completed copies of the rows, each a draw of what was missing given what was observed.

        An analysis that is done on each and pooled (Rubin, 1987; `vaekit.uses.completion.pooling.pool`) knows how
        uncertain the filled cells are. By `random_state`, or that of the estimator.
        """
        X = self._checked(X)
        batch = Batch(self.reading_.encode(X).double())
        seed = seed_of(self.random_state if random_state is None else random_state)
        drawn = draw_completions(self._precise(), batch, n_draws, self.samples, seed, encode=torch.Tensor.double)
        return [self.reading_.filled(X, copy) for copy in drawn.x]
