"""What all estimators share: their settings, how they read rows, and how they train."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from narwhals.dependencies import is_into_dataframe
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from vaekit.core import VAE, Batch
from vaekit.data import Dataset
from vaekit.data.tables.frames import refuse_repeated
from vaekit.defaults import Defaults
from vaekit.estimators.fitted import Wishes, fit_rows, precise
from vaekit.estimators.reading import Reading, kind_of
from vaekit.model import FittedVAE
from vaekit.tabular import defaults_of

RandomState = int | np.random.RandomState | None
"""As everywhere in scikit-learn: a seed, a generator, or none for another result each time."""


@dataclass(kw_only=True, eq=False, repr=False)
class VAEEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """The settings of every estimator; None is chosen by `vaekit.defaults.Defaults` from the rows.

    Missing cells (NaN) are left out of the likelihood and known to the encoder.
    """

    latent: int | None = None
    """Latent coordinates."""
    hidden: Sequence[int] | None = None
    """Widths of the hidden layers."""
    max_epochs: int | None = None
    """Passes over the rows, at most."""
    batch_size: int | None = None
    """Rows to an update."""
    learning_rate: float | None = None
    """Adam's rate."""
    random_state: RandomState = None
    """Of all that is drawn while fitting, and of samples."""
    device: str = "auto"
    """Where to train: "auto", "cpu", "cuda"; what is asked of a fitted model is computed on the CPU, in float64."""
    verbose: bool = False
    """Whether training shows its progress on standard error."""

    _laws: ClassVar[str] = "fitted"
    """By what columns are explained: see `vaekit.families.columns.choose.LAWS`."""
    _scale: ClassVar[str] = "learned"
    """Where the scales of numbers come from: one learned for each column, or by the decoder."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _train(self, X: Any, recipe: str, y: Tensor | None = None, **options: Any) -> Tensor:
        """Fit to rows, and give them as numbers."""
        x = self._numbers(X, first=True)
        rows = self._rows(x, y)
        self.defaults_ = self._defaults(rows)
        members = getattr(self, "members", 1) or self.defaults_.members
        self.members_ = fit_rows(rows, recipe, self._wishes(), self.defaults_, members, options)
        return x

    def _rows(self, x: Tensor, y: Tensor | None = None) -> Dataset:
        return Dataset(x, y, type(self).__name__, self.reading_.schema)

    @property
    def model_(self) -> FittedVAE:
        """The fitted model; of several, the first."""
        return self.members_[0]

    def _defaults(self, rows: Dataset) -> Defaults:
        """What is chosen where nothing is set."""
        return defaults_of(rows)

    def _wishes(self) -> Wishes:
        hidden = None if self.hidden is None else tuple(np.atleast_1d(self.hidden).tolist())
        names = ("max_epochs", "batch_size", "learning_rate", "device")
        training = {name: getattr(self, name) for name in names}
        others: dict[str, Any] = {"seed": seed_of(self.random_state), "verbose": self.verbose}
        others.update(laws=self._laws, scale=self._scale)
        return Wishes.of({"latent": self.latent, "hidden": hidden}, training, **others)

    def _numbers(self, X: Any, first: bool = False) -> Tensor:
        """Rows as numbers; the first ones that are seen decide how."""
        X = self._checked(X, first)
        if first:
            self.reading_: Reading = kind_of(X).of(X)
        return self.reading_.encode(X)

    def _checked(self, X: Any, first: bool = False) -> Any:
        """Rows that are fit to be read, as scikit-learn's own estimators demand of theirs."""
        if not first:
            check_is_fitted(self)
        kind = kind_of(X) if first else type(self.reading_)
        if is_into_dataframe(X):
            refuse_repeated(list(X.column_names if hasattr(X, "column_names") else X.columns))
        return validate_data(self, X, reset=first, **kind.demands, ensure_min_samples=2 if first else 1)

    def _batch(self, X: Any) -> Batch:
        """Rows as a batch, in float64."""
        return Batch(self._numbers(X).double())

    def _precise(self) -> VAE:
        """The model in float64."""
        return precise(self.model_)

    def _sampled(self, n: int, random_state: RandomState) -> Any:
        """New rows, each by a member chosen at random, as rows of the caller's type."""
        random = np.random.RandomState(seed_of(self.random_state if random_state is None else random_state))
        counts = random.multinomial(n, np.full(len(self.members_), 1 / len(self.members_)))
        seeds = random.randint(2**31 - 1, size=len(counts))
        drawn = [
            member.in_numbers().sample(int(count), seed=int(seed))
            for member, count, seed in zip(self.members_, counts, seeds, strict=True)
            if count
        ]
        return self.reading_.decode(torch.cat(drawn)[random.permutation(n)])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "members_")


def seed_of(random_state: RandomState) -> int:
    """A seed: a whole number itself, or one that a generator draws.

    >>> seed_of(7), seed_of(np.random.RandomState(0)) == seed_of(np.random.RandomState(0))
    (7, True)
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
