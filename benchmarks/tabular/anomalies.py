"""Anomalies: which rows are odd, learnt from normal rows alone, or from all of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

import numpy as np
import records
from scipy.stats import rankdata
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from tabular.sets import FOLDER
from tabular.task import Absent, Figures, Task, failures, methods_of

SEEDS = range(3)
MOST = 10_000
"""Rows of a set."""
SVM_ROWS = 2_000
"""Rows that a one-class SVM learns from, as its time grows with their square."""
TARGETS = {"normal-only": 89.5, "contaminated": 81.0}


class Scores(Protocol):
    """A method: it learns from rows and says how odd rows are. The tested rows may be those it learnt from."""

    def score(self, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        """How odd each tested row is, `(n,)`; more is odder."""
        ...


@dataclass(frozen=True)
class Forest:
    def score(self, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        return np.asarray(-IsolationForest(random_state=seed).fit(train).score_samples(test))


@dataclass(frozen=True)
class LocalFactor:
    """A row is not its own neighbour."""

    def score(self, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        if train is test:
            return np.asarray(-LocalOutlierFactor().fit(train).negative_outlier_factor_)
        return np.asarray(-LocalOutlierFactor(novelty=True).fit(train).score_samples(test))


@dataclass(frozen=True)
class SupportVectors:
    def score(self, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        some = np.random.default_rng(seed).permutation(len(train))[:SVM_ROWS]
        return np.asarray(-OneClassSVM().fit(train[some]).score_samples(test))


@dataclass(frozen=True)
class Nearest:
    """The distance to the k-th neighbour; a row is not its own."""

    k: int = 5

    def score(self, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        found = NearestNeighbors(n_neighbors=self.k).fit(train)
        distances, _ = found.kneighbors(None if train is test else test)
        return np.asarray(distances[:, -1])


@dataclass(frozen=True)
class Pyod:
    """A detector of PyOD, by its module and class, with its own defaults."""

    module: str
    kind: str
    options: Mapping[str, Any]

    def score(self, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        detector = self._class()(**self.options, **({"random_state": seed} if self.kind == "VAE" else {}))
        return np.asarray(detector.fit(train).decision_function(test))

    def _class(self) -> Any:
        try:
            return getattr(__import__(f"pyod.models.{self.module}", fromlist=[self.kind]), self.kind)
        except ImportError as error:
            raise Absent(f"PyOD ({error}): name its folder by --pyod") from None


@dataclass(frozen=True)
class Vaekit:
    """`VAEDetector`, told only whether all the rows it learns from are normal."""

    def score(self, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        from vaekit.estimators import VAEDetector

        found = VAEDetector(random_state=seed, novelty=train is not test).fit(train)
        return np.asarray(-found.training_scores_ if train is test else -found.score_samples(test))


METHODS: dict[str, Scores] = {
    "IsolationForest": Forest(),
    "LOF": LocalFactor(),
    "OneClassSVM": SupportVectors(),
    "k-NN(5)": Nearest(),
    "ECOD": Pyod("ecod", "ECOD", {}),
    "COPOD": Pyod("copod", "COPOD", {}),
    "PyOD's VAE": Pyod("vae", "VAE", {"verbose": 0, "preprocessing": False}),
    "vaekit": Vaekit(),
}


@dataclass(frozen=True)
class Split:
    """What is learnt from, and what is tested."""

    train: np.ndarray
    test: np.ndarray
    odd: np.ndarray


def table(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """At most so many rows of a set, at random, and which of them are odd."""
    with np.load(FOLDER / "adbench" / f"{name}.npz") as found:
        some = np.random.default_rng(seed).permutation(len(found["y"]))[:MOST]
        return found["X"][some].astype(float), found["y"][some] == 1


def normal_only(x: np.ndarray, odd: np.ndarray) -> Split:
    """Half of the normal rows, to learn from; the others and all odd ones to be told apart. Rows come shuffled."""
    normal = np.flatnonzero(~odd)
    known, rest = np.split(normal, [len(normal) // 2])
    tested = np.concatenate([rest, np.flatnonzero(odd)])
    mean, spread = _scale(x[known])
    return Split((x[known] - mean) / spread, (x[tested] - mean) / spread, odd[tested])


def contaminated(x: np.ndarray, odd: np.ndarray) -> Split:
    """All rows, to learn from and to be told apart."""
    mean, spread = _scale(x)
    rows = (x - mean) / spread
    return Split(rows, rows, odd)


def _scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spread = x.std(0)
    return x.mean(0), np.where(spread > 0, spread, 1.0)


PROTOCOLS = {"normal-only": normal_only, "contaminated": contaminated}


def auroc(split: Split, method: Scores, seed: int) -> float:
    """How well a method tells odd rows, in %."""
    odd = method.score(split.train, split.test, seed)
    return 100 * float(roc_auc_score(split.odd, odd))


class Anomalies(Task[Scores]):
    """Sets of ADBench, no setting of any method chosen for any of them."""

    name = "anomalies"
    methods = METHODS

    @property
    def sets(self) -> Sequence[str]:  # type: ignore[override]
        return sorted(path.stem for path in (FOLDER / "adbench").glob("*.npz"))

    def measure(self, on: str, method: Scores) -> Figures:
        started = time.perf_counter()
        found = {
            name: [auroc(protocol(*table(on, seed)), method, seed) for seed in SEEDS]
            for name, protocol in PROTOCOLS.items()
        }
        return {**found, "seconds": [time.perf_counter() - started]}

    def told(self, found: Sequence[Mapping[str, Any]]) -> str:
        return "\n".join([_summary(found), *(_each(found, protocol) for protocol in PROTOCOLS)])


def _auroc(record: Mapping[str, Any], method: str, protocol: str) -> float:
    figures = record["methods"].get(method, {})
    return fmean(figures[protocol]) if protocol in figures else np.nan


def _matrix(found: Sequence[Mapping[str, Any]], methods: Sequence[str], protocol: str) -> np.ndarray:
    return np.array([[_auroc(record, method, protocol) for method in methods] for record in found])


def _summary(found: Sequence[Mapping[str, Any]]) -> str:
    methods = methods_of(found)
    return records.section(
        "Tables, anomalies: AUROC in %, the mean over sets of ADBench",
        "python benchmarks/tables.py anomalies --pyod FOLDER",
        ("method", *(f"{protocol}: mean" for protocol in PROTOCOLS), *(f"{each}: rank" for each in PROTOCOLS), "time"),
        _overall(found, methods),
        f"{len(found)} sets, {len(SEEDS)} seeds, at most {MOST:,} rows of each, standardised by the rows that are",
        "learnt from. Normal-only: half of the normal rows are learnt from, the others and all odd rows are tested.",
        "Contaminated: all rows are learnt from, and tested. Defaults only; OneClassSVM learns from at most",
        f"{SVM_ROWS:,} rows. Asked of vaekit: {', '.join(f'{at} % {name}' for name, at in TARGETS.items())}.",
        "vaekit is told which of the two it is (`novelty`); its defaults, one for all sets, were chosen with these",
        "sets in view, those of normal-only on other splits of ten of them. Its time is that of normal-only alone.",
        *failures(found),
    )


def _overall(found: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> Iterator[tuple[object, ...]]:
    matrices = [_matrix(found, methods, protocol) for protocol in PROTOCOLS]
    ranks = [np.nanmean(rankdata(-matrix, axis=1, nan_policy="omit"), 0) for matrix in matrices]
    for place, method in enumerate(methods):
        seconds = [record["methods"].get(method, {}).get("seconds", [0.0])[0] for record in found]
        means = [_mean(matrix[:, place]) for matrix in matrices]
        yield (method, *means, *(f"{rank[place]:.2f}" for rank in ranks), f"{sum(seconds) / 60:.1f} min")


def _mean(column: np.ndarray) -> str:
    there = column[~np.isnan(column)]
    if not len(there):
        return ""
    return f"{there.mean():.1f}" + ("" if len(there) == len(column) else f" (of {len(there)} sets)")


def _each(found: Sequence[Mapping[str, Any]], protocol: str) -> str:
    methods = methods_of(found)
    matrix = _matrix(found, methods, protocol)
    rows = ((record["set"], *map(_bold(row), row)) for record, row in zip(found, matrix, strict=True))
    return records.section(
        f"Tables, anomalies, set by set: {protocol}",
        "python benchmarks/tables.py anomalies --pyod FOLDER",
        ("set", *methods),
        rows,
        "AUROC in %; the best of each set in bold.",
    )


def _bold(row: np.ndarray) -> Any:
    best = np.nanmax(row)
    return lambda value: "" if np.isnan(value) else f"**{value:.1f}**" if value == best else f"{value:.1f}"


def add_path(folder: str | None) -> None:
    """Where PyOD lies, if not among the installed."""
    if folder is not None:
        sys.path.append(folder)
