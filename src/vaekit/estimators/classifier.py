"""A face for labels: which class rows are in, learned from rows of which some are labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d

from vaekit.common.seeds import seeded
from vaekit.data import Dataset
from vaekit.defaults import Defaults
from vaekit.estimators.estimator import VAEEstimator
from vaekit.estimators.fitted import precise
from vaekit.tabular import defaults_of
from vaekit.uses.classify import classify


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAEClassifier(ClassifierMixin, VAEEstimator):  # type: ignore[misc]
    """Tells classes from rows of which some, or all, are labelled; rows without a label teach it what rows look like.

    Of several members the probabilities are averaged. Source: Kingma, Rezende, Mohamed and Welling, 2014 (M2).

    >>> rows = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[-4.0], [4.0]], 30, 0)
    >>> labels = np.repeat([0, 1], 30)
    >>> labels[::2] = -1
    >>> VAEClassifier(max_epochs=20, random_state=0).fit(rows, labels).predict([[-4.0, -4.0], [4.0, 4.0]])
    array([0, 1])
    """

    unlabelled: object = -1
    """The label of rows whose class is not known; None where every row has one."""
    members: int | None = None
    """Models of as many seeds."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train on rows and their labels, `(n,)`; unlabelled rows are used too."""
        classes, labels = self._labels(y)
        check_consistent_length(X, labels)
        self._train(X, "m2", torch.from_numpy(labels), labels=len(classes))
        self.classes_ = classes
        return self

    def _defaults(self, rows: Dataset) -> Defaults:
        return defaults_of(rows, Defaults.of_labels)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class for each row, `(n, classes)`, in the order of `classes_`."""
        batch = self._batch(X)
        with seeded(0):
            each = [classify(precise(member), batch) for member in self.members_]
        shares: np.ndarray = torch.stack(each).mean(0).numpy()
        return shares

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, `(n,)`."""
        shares = self.predict_proba(X)
        most: np.ndarray = self.classes_[shares.argmax(1)]
        return most

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of the labelled rows whose class is predicted; rows without a label count for nothing."""
        y = column_or_1d(y)
        known = ~is_missing(y, self.unlabelled)
        if not known.any():
            raise ValueError("no row has a label: give some rows their class")
        weights = known * (1.0 if sample_weight is None else np.asarray(sample_weight, float))
        told = np.where(known, y, self.classes_[0]).astype(self.classes_.dtype)
        return float(accuracy_score(told, self.predict(X), sample_weight=weights))

    def _labels(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """The classes, and the number of each row's among them, -1 where it is not known."""
        y = column_or_1d(y, warn=True)
        known = ~is_missing(y, self.unlabelled)
        told = np.array(y[known].tolist())
        check_classification_targets(told)
        classes, numbers = np.unique(told, return_inverse=True)
        if not len(classes):
            raise ValueError("no row has a label: give some rows their class")
        labels = np.full(len(y), -1)
        labels[known] = numbers
        return classes, labels


def is_missing(y: np.ndarray, unlabelled: object) -> np.ndarray:
    """Which labels `(n,)` are not known: those equal to `unlabelled`, NaN, None, and empty words.

    >>> is_missing(np.array(["cat", "", None], dtype=object), -1)
    array([False,  True,  True])
    """
    return np.array([label is None or label != label or label == "" or _same(label, unlabelled) for label in y], bool)


def _same(label: object, unlabelled: object) -> bool:
    return unlabelled is not None and bool(label == unlabelled)
