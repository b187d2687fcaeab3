"""A face for codes: fewer coordinates for each row, and rows from coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from vaekit.common.seeds import seeded
from vaekit.estimators.estimator import VAEEstimator
from vaekit.uses.decode import decode
from vaekit.uses.encode import encode


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAEReducer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, VAEEstimator):  # type: ignore[misc]
    """Reduces rows to the means of their codes, :math:`E_q[z \\mid x]`, and leads codes back to rows.

    Source: Kingma and Welling, 2013.

    >>> rows = np.random.default_rng(0).normal(size=(50, 6))
    >>> VAEReducer(latent=2, max_epochs=2, random_state=0).fit_transform(rows).shape
    (50, 2)
    """

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows; y is not read."""
        self._train(X, "vae")
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The codes of rows, `(n, latent)`."""
        batch = self._batch(X)
        with seeded(0):
            codes: np.ndarray = encode(self._precise(), batch, "z").numpy()
        return codes

    def inverse_transform(self, X: Any) -> Any:
        """The mean of the rows that have these codes, as rows of the type that the model was fitted to."""
        check_is_fitted(self)
        codes = torch.from_numpy(check_array(X, dtype=np.float64))
        if codes.shape[1] != self._n_features_out:
            raise ValueError(f"codes of {codes.shape[1]} coordinates, but the model has {self._n_features_out}")
        with seeded(0):
            return self.reading_.decode(decode(self._precise(), codes, "z"))

    @property
    def _n_features_out(self) -> int:
        return self.model_.latent_shape("z")[0]
