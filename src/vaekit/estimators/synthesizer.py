"""A face for synthetic tables: new rows like those it was fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, final

import torch
from sklearn.utils.validation import check_is_fitted

from vaekit.data import Dataset
from vaekit.defaults import FEW, MANY, Defaults
from vaekit.estimators.estimator import RandomState, VAEEstimator, seed_of
from vaekit.tabular import defaults_of

PRIOR_ROWS: Final = 100_000
"""Rows to whose codes the prior is fitted, at most."""
DRAWS: Final = 8
"""Codes of each of many rows, so that none is learned by heart; of few rows one, so that those held out are others'."""


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAESynthesizer(VAEEstimator):
    """Makes up rows of the type, names and dtypes of those it was fitted to.

    Values of numbers that are often repeated are atoms, and each level has a probability of its own. The KL weighs
    little while the model is trained, so that codes say much of their rows, and a prior is then fitted to the codes,
    from which rows are made up: coordinate by coordinate a mixture of normals, or to few rows one normal.

    Sources: Kingma and Welling, 2013; Higgins et al., 2017 (the weight); Ghosh et al., 2020 (a prior fitted after);
    Zhang et al., 2024 (TabSyn: codes that say nearly all, and a strong prior).

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(60, 3))
    >>> VAESynthesizer(max_epochs=2, random_state=0).fit(rows).sample(5).shape
    (5, 3)
    """

    _laws: ClassVar[str] = "exact"

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows; y is not read."""
        x = self._train(X, "beta_vae", beta=0.4, activation="silu")
        known = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:PRIOR_ROWS]]
        rows = Dataset(known, schema=self.reading_.schema)
        kind, seed = "autoregressive" if len(x) >= FEW else "normal", seed_of(self.random_state)
        draws = DRAWS if len(x) >= MANY else 1
        self.members_ = tuple(member.refit_prior(rows, kind, draws=draws, seed=seed) for member in self.members_)
        return self

    def _defaults(self, rows: Dataset) -> Defaults:
        return defaults_of(rows, Defaults.of_synthesis)

    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> Any:
        """New rows of the type that the model was fitted to; by `random_state`, or that of the estimator."""
        check_is_fitted(self)
        return self._sampled(n_samples, random_state)
