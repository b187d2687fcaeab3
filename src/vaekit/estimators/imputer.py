"""A face for completion: the holes of rows filled, once or in many ways."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from vaekit.core import Batch
from vaekit.data import Dataset
from vaekit.defaults import Defaults
from vaekit.estimators.estimator import RandomState, VAEEstimator, seed_of
from vaekit.estimators.fitted import precise
from vaekit.tabular import defaults_of
from vaekit.uses.complete import Completion, complete
from vaekit.uses.completion.draws import draw_completions


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAEImputer(OneToOneFeatureMixin, TransformerMixin, VAEEstimator):  # type: ignore[misc]
    """Fills what is missing (NaN) by its conditional mean given what was observed, or the most probable level.

    Trained by the importance-weighted bound of what was observed (MIWAE). Several members speak as their mixture in
    equal shares. The nets have a shortcut: what is linear in a table is learned at once, and the rest beside it.

    Source: Mattei and Frellsen, 2019.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> rows[7, 1] = np.nan
    >>> filled = VAEImputer(max_epochs=2, random_state=0).fit_transform(rows)
    >>> bool(np.isfinite(filled).all()), bool((filled == rows).sum() == rows.size - 1)
    (True, True)
    """

    samples: int = 1000
    """Draws of the latents for each row with a hole, by all members together."""
    members: int | None = None
    """Models of as many seeds."""

    _laws: ClassVar[str] = "sharp"
    _scale: ClassVar[str] = "predicted"

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows with or without holes; y is not read."""
        self._train(X, "iwae", samples=20, net="shortcut", activation="silu")
        if self.reading_.empty:
            named = ", ".join(map(repr, self.reading_.empty))
            warnings.warn(f"all missing: {named}; nothing is known of it, so it stays missing", stacklevel=2)
        return self

    def transform(self, X: Any) -> Any:
        """The rows, with what was missing filled in; what was observed is as it was."""
        X = self._checked(X)
        return self.reading_.filled(X, self._completed(X).x)

    def intervals(self, X: Any, level: float = 0.9) -> tuple[Any, Any]:
        """The rows with the lower ends of intervals in their holes, and with the upper ends.

        Between equal tails of what all members together say of each number; both ends of a level are the level.

        >>> import numpy as np
        >>> rows = np.random.default_rng(0).normal(size=(50, 3))
        >>> rows[7, 1] = np.nan
        >>> low, high = VAEImputer(max_epochs=2, random_state=0).fit(rows).intervals(rows)
        >>> bool(low[7, 1] < high[7, 1]), bool(low[7, 0] == high[7, 0] == rows[7, 0])
        (True, True)
        """
        X = self._checked(X)
        told = self._completed(X, level)
        assert told.low is not None
        assert told.high is not None
        return self.reading_.filled(X, told.low), self.reading_.filled(X, told.high)

    def _completed(self, X: Any, level: float | None = None) -> Completion:
        batch = Batch(self.reading_.encode(X).double())
        models = [precise(each) for each in self.members_]
        return complete(models, batch, -(-self.samples // len(models)), level=level, encode=torch.Tensor.double)

    def _defaults(self, rows: Dataset) -> Defaults:
        return defaults_of(rows, Defaults.of_completion)

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
