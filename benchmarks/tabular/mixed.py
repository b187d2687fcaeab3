"""Completion of mixed columns with the masks that were published with HI-VAE."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

import numpy as np
import pandas as pd
import records

from tabular.sets import FOLDER
from tabular.task import Figures, Task, cell, failures, methods_of

SHARES = (20, 50)
SETS = tuple(f"{name} {share} %" for name in ("Adult", "Wine", "defaultCredit") for share in SHARES)
NOMINAL, ORDINAL = {"cat"}, {"ordinal"}


class CompletesFrames(Protocol):
    """A method: it sees a frame with its holes, and nothing else."""

    def complete(self, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        """The frame without holes."""
        ...


@dataclass(frozen=True)
class MeanOrMode:
    """The mean of numbers, the most frequent level, the median level of an order."""

    def complete(self, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        return frame.apply(lambda cells: cells.fillna(_typical(cells)))


def _typical(cells: pd.Series) -> object:
    if not isinstance(cells.dtype, pd.CategoricalDtype):
        return cells.mean()
    codes = cells.cat.codes[cells.notna()]
    return cells.cat.categories[int(codes.median() if cells.cat.ordered else codes.mode()[0])]


@dataclass(frozen=True)
class Vaekit:
    """`VAEImputer` with no option."""

    def complete(self, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        from vaekit.estimators import VAEImputer

        return VAEImputer(random_state=seed).fit_transform(frame)


def table(name: str) -> tuple[pd.DataFrame, list[str]]:
    """A published table: numbers as float, levels as (ordered) categories; and the published type of each column."""
    folder = FOLDER / "hivae" / name
    types = pd.read_csv(folder / "data_types.csv")["type"].tolist()
    cells = pd.read_csv(folder / "data.csv", header=None)
    cells.columns = [f"{place:02d}_{of}" for place, of in enumerate(types)]
    return cells.apply(lambda column: _typed(column, types[cells.columns.get_loc(column.name)])), types


def _typed(column: pd.Series, of: str) -> pd.Series:
    if of not in NOMINAL | ORDINAL:
        return column.astype(float)
    levels = sorted(column.dropna().unique())
    return column.astype(pd.CategoricalDtype(levels, ordered=of in ORDINAL)).cat.rename_categories(
        {level: f"{int(level):03d}" for level in levels}
    )


def published(name: str, share: int, shape: tuple[int, int]) -> np.ndarray:
    """The published mask: rows and columns from 1."""
    (file,) = (FOLDER / "hivae" / name).glob(f"Missing{share}_1.csv*")
    places = pd.read_csv(file, header=None).to_numpy(int) - 1
    holes = np.zeros(shape, bool)
    holes[tuple(places.T)] = True
    return holes


def off(true: pd.Series, told: pd.Series, of: str) -> float:
    """The error of a column: RMSE by the range; wrong levels; how far from the right one by the number of levels."""
    if of in NOMINAL:
        return float((true.astype(str) != told.astype(str)).mean())
    if of in ORDINAL:
        levels = true.cat.categories
        codes = pd.Categorical(told.astype(str), categories=levels).codes
        return float(np.abs(true.cat.codes.to_numpy() - codes).mean() / len(levels))
    return float(np.sqrt(np.square(true - told.astype(float)).mean()))


class Mixed(Task[CompletesFrames]):
    """The error of Nazabal et al., 2020: the mean over columns, each in its own measure."""

    name = "mixed"
    sets = SETS
    methods: Mapping[str, CompletesFrames] = {"mean or mode": MeanOrMode(), "vaekit": Vaekit()}

    def measure(self, on: str, method: CompletesFrames) -> Figures:
        name, share, _ = on.split()
        frame, types = table(name)
        holes = published(name, int(share), frame.shape) & frame.notna().to_numpy()
        started = time.perf_counter()
        told = method.complete(frame.mask(holes), 0)
        seconds = time.perf_counter() - started
        errors = {
            column: off(frame[column][hole], told[column][hole], of) / _range(frame[column], of)
            for column, hole, of in zip(frame, holes.T, types, strict=True)
            if hole.any()
        }
        return {**_averages(errors), "columns": errors, "seconds": [seconds]}

    def told(self, found: Sequence[Mapping[str, Any]]) -> str:
        return records.section(
            "Tables of mixed columns, completed: error with the published masks",
            "python benchmarks/tables.py mixed",
            ("set and share missing", "method", "all columns", "numbers", "levels", "orders", "time"),
            (_row(record, method) for record in found for method in methods_of(found)),
            "The mean over columns of: RMSE by the range (numbers), share of wrong levels, distance by the number of",
            "levels (orders), as Nazabal et al., 2020, define it. One published mask each, one seed.",
            *failures(found),
        )


def _range(column: pd.Series, of: str) -> float:
    return 1.0 if of in NOMINAL | ORDINAL else float(column.max() - column.min())


_KINDS: dict[str, Callable[[str], bool]] = {
    "error": lambda column: True,
    "numbers": lambda column: column[3:] not in NOMINAL | ORDINAL,
    "levels": lambda column: column[3:] in NOMINAL,
    "orders": lambda column: column[3:] in ORDINAL,
}


def _averages(errors: Mapping[str, float]) -> dict[str, list[float]]:
    of = {kind: [error for column, error in errors.items() if ours(column)] for kind, ours in _KINDS.items()}
    return {kind: [fmean(each)] for kind, each in of.items() if each}


def _row(record: Mapping[str, Any], method: str) -> tuple[object, ...]:
    figures = record["methods"].get(method) or {}
    there = [cell(figures if kind in figures or "failed" in figures else None, kind) for kind in _KINDS]
    return (record["set"], method, *there, f"{figures['seconds'][0]:.0f} s" if "seconds" in figures else "")
