"""A face for synthetic tables: new rows like those it was fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

from sklearn.utils.validation import check_is_fitted

from vaekit.estimators.estimator import RandomState, VAEEstimator


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAESynthesizer(VAEEstimator):
    """Makes up rows of the type, names and dtypes of those it was fitted to.

    Source: Kingma and Welling, 2013.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(60, 3))
    >>> VAESynthesizer(max_epochs=2, random_state=0).fit(rows).sample(5).shape
    (5, 3)
    """

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows; y is not read."""
        self._train(X, "vae")
        return self

    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> Any:
        """New rows of the type that the model was fitted to; by `random_state`, or that of the estimator."""
        check_is_fitted(self)
        return self._sampled(n_samples, random_state)
