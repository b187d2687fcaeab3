"""Few labels: a tenth of the training rows has one; the others teach what rows look like."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import records
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tabular.sets import read
from tabular.task import Figures, Task, cell, failures, methods_of

SEEDS = range(5)
LABELLED = 0.1
UNKNOWN = -1


class Classifies(Protocol):
    """A method: it sees training rows, of which most have the label -1, and names those of test rows."""

    def classify(self, train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
        """The classes of the test rows."""
        ...


@dataclass(frozen=True)
class Supervised:
    """A classifier that learns from the labelled rows alone."""

    make: Callable[[int], Any]

    def classify(self, train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
        known = labels != UNKNOWN
        return np.asarray(self.make(seed).fit(train[known], labels[known]).predict(test))


@dataclass(frozen=True)
class SemiSupervised:
    """A classifier that learns from all rows."""

    make: Callable[[int], Any]

    def classify(self, train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
        return np.asarray(self.make(seed).fit(train, labels).predict(test))


def _logistic(seed: int) -> Any:
    levels = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer(
        (levels, make_column_selector(dtype_exclude="number")), remainder=StandardScaler()
    )
    return make_pipeline(columns, LogisticRegression(max_iter=2000))


def _boosting(seed: int) -> Any:
    return HistGradientBoostingClassifier(random_state=seed, min_samples_leaf=5)


def _vaekit(seed: int) -> Any:
    from vaekit.estimators import VAEClassifier

    return VAEClassifier(random_state=seed)


METHODS: dict[str, Classifies] = {
    "logistic regression": Supervised(_logistic),
    "boosting": Supervised(_boosting),
    "vaekit, labelled rows alone": Supervised(_vaekit),
    "vaekit": SemiSupervised(_vaekit),
}


def german() -> tuple[pd.DataFrame, np.ndarray]:
    """Credits and whether they were good (0) or bad (1)."""
    table = read("uci/german_credit.csv.gz")
    return _levels(table.drop(columns="credit_risk")), table["credit_risk"].to_numpy(int) - 1


def soybean() -> tuple[pd.DataFrame, np.ndarray]:
    """Plants, and which of 19 diseases they have; every column holds levels, and cells are missing."""
    table = read("rtables/Soybean.csv.gz")
    codes, _ = pd.factorize(table["Class"], sort=True)
    words = table.drop(columns="Class").apply(lambda cells: cells.map(lambda value: f"{value:g}", na_action="ignore"))
    return _levels(words), codes


def _levels(frame: pd.DataFrame) -> pd.DataFrame:
    words = frame.select_dtypes(exclude="number").columns
    return frame.astype(dict.fromkeys(words, "category"))


SETS: dict[str, Callable[[], tuple[pd.DataFrame, np.ndarray]]] = {"German credit": german, "Soybean": soybean}


def few(y: np.ndarray, seed: int) -> np.ndarray:
    """Labels of a tenth of the rows, of each class as many as it has in all and at least one; else -1."""
    order = np.random.default_rng(seed).permutation(len(y))
    each = (order[y[order] == label] for label in np.unique(y))
    known = np.concatenate([rows[: max(1, round(LABELLED * len(rows)))] for rows in each])
    labels = np.full(len(y), UNKNOWN)
    labels[known] = y[known]
    return labels


def wrong(on: str, method: Classifies, seed: int) -> float:
    """The share of test rows that a method gets wrong, in %."""
    x, y = SETS[on]()
    train, test, known, true = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)
    said = method.classify(train.reset_index(drop=True), few(known, seed), test.reset_index(drop=True), seed)
    return 100 * float((said != true).mean())


class Labels(Task[Classifies]):
    """Tables of which a tenth of the rows is labelled."""

    name = "labels"
    sets = tuple(SETS)
    methods = METHODS

    def measure(self, on: str, method: Classifies) -> Figures:
        started = time.perf_counter()
        errors = [wrong(on, method, seed) for seed in SEEDS]
        return {"error": errors, "seconds": [(time.perf_counter() - started) / len(SEEDS)]}

    def told(self, found: Sequence[Mapping[str, Any]]) -> str:
        methods = methods_of(found)
        rows = ((each["set"], *(cell(each["methods"].get(name), "error", 1) for name in methods)) for each in found)
        return records.section(
            "Tables with few labels: test error in %",
            "python benchmarks/tables.py labels",
            ("set", *methods),
            rows,
            f"A tenth of the training rows is labelled, at least one of each class; 30 % are tested; {len(SEEDS)}",
            "splits. The first three learn from the labelled rows alone.",
            *failures(found),
        )
