"""A face for densities: how likely rows are, and rows like them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted

from vaekit.estimators.estimator import RandomState, VAEEstimator
from vaekit.estimators.fitted import precise
from vaekit.uses.scores import Ensemble


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAEDensity(DensityMixin, VAEEstimator):  # type: ignore[misc]
    """Estimates the density of rows: the importance-sampled log p(x), in nats on the rows' own scale.

    Of several members it is the density of their mixture. Source: Burda, Grosse and Salakhutdinov, 2016.

    >>> rows = np.random.default_rng(0).normal(size=(60, 3))
    >>> density = VAEDensity(max_epochs=2, random_state=0).fit(rows)
    >>> density.score_samples(rows).shape, density.sample(5).shape
    ((60,), (5, 3))
    """

    samples: int = 100
    """Draws of the latents behind each row's density."""
    members: int | None = None
    """Models of as many seeds, whose mixture is the density."""

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows; y is not read."""
        self._train(X, "vae")
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) of each row, `(n,)`."""
        batch = self._batch(X)
        mixture = Ensemble.of([precise(member) for member in self.members_])
        surprise: np.ndarray = mixture(batch, self.samples, encode=torch.Tensor.double).numpy()
        return -surprise

    def score(self, X: Any, y: object = None) -> float:
        """The mean of log p(x) over rows."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> Any:
        """New rows of the type that the model was fitted to; by `random_state`, or that of the estimator."""
        check_is_fitted(self)
        return self._sampled(n_samples, random_state)
