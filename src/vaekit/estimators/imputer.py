"""A face for completion: the holes of rows filled, once or in many ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from torch import Tensor

from vaekit.core import Batch
from vaekit.data import Dataset
from vaekit.defaults import Defaults
from vaekit.estimators.estimator import RandomState, VAEEstimator, seed_of
from vaekit.estimators.fitted import precise
from vaekit.tabular import defaults_of
from vaekit.uses.complete import complete
from vaekit.uses.completion.draws import draw_completions


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAEImputer(OneToOneFeatureMixin, TransformerMixin, VAEEstimator):  # type: ignore[misc]
    """Fills what is missing (NaN) by its conditional mean given what was observed, or the most probable level.

    Trained by the importance-weighted bound of what was observed (MIWAE). Of several members the means are averaged,
    and of levels the one that most of them name is taken.

    Source: Mattei and Frellsen, 2019.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> rows[7, 1] = np.nan
    >>> filled = VAEImputer(max_epochs=2, random_state=0).fit_transform(rows)
    >>> bool(np.isfinite(filled).all()), bool((filled == rows).sum() == rows.size - 1)
    (True, True)
    """

    samples: int = 1000
    """Draws of the latents for each row with a hole."""
    members: int | None = None
    """Models of as many seeds."""

    _plain: ClassVar[bool] = True
    _scale: ClassVar[str] = "predicted"

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows with or without holes; y is not read."""
        self._train(X, "iwae", samples=20, activation="silu")
        return self

    def transform(self, X: Any) -> Any:
        """The rows, with what was missing filled in; what was observed is as it was."""
        X = self._checked(X)
        batch = Batch(self.reading_.encode(X).double())
        filled = [complete(precise(each), batch, self.samples, encode=torch.Tensor.double).x for each in self.members_]
        return self.reading_.filled(X, self._pooled(torch.stack(filled)))

    def _defaults(self, rows: Dataset) -> Defaults:
        return defaults_of(rows, Defaults.of_completion)

    def _pooled(self, x: Tensor) -> Tensor:
        """One completion of those of all members `(member, n, columns)`: the mean of numbers, the commonest level."""
        levelled = torch.tensor([bool(column.levels) for column in self.reading_.schema.modelled])
        return torch.where(levelled, x.mode(0).values, x.mean(0))

    def draws(self, X: Any, n_draws: int = 5, random_state: RandomState = None) -> list[Any]:
        """So many completed copies of the rows, each a draw of what was missing given what was observed.

        An analysis that is done on each and pooled (Rubin, 1987; `vaekit.uses.completion.pooling.pool`) knows how
        uncertain the filled cells are. Members take turns. By `random_state`, or that of the estimator.
        """
        X = self._checked(X)
        batch = Batch(self.reading_.encode(X).double())
        seed = seed_of(self.random_state if random_state is None else random_state)
        shares = [len(share) for share in np.array_split(np.arange(n_draws), len(self.members_)) if len(share)]
        drawn = [
            draw_completions(precise(member), batch, share, self.samples, seed, encode=torch.Tensor.double).x
            for member, share in zip(self.members_, shares, strict=False)
        ]
        return [self.reading_.filled(X, copy) for copy in torch.cat(drawn)]
