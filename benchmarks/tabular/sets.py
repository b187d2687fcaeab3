"""The tables, as they come: from scikit-learn, and from a folder of files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

FOLDER = Path(os.environ.get("VAEKIT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def read(file: str) -> pd.DataFrame:
    """A table of the folder."""
    return pd.read_csv(FOLDER / file)


def numbers(file: str, without: str) -> np.ndarray:
    """A table of numbers, without one column."""
    return np.asarray(read(file).drop(columns=without), float)


NUMBERS: dict[str, Callable[[], np.ndarray]] = {
    "breast": lambda: load_breast_cancer().data,
    "red": lambda: numbers("uci/wine_red.csv.gz", "quality"),
    "white": lambda: numbers("uci/wine_white.csv.gz", "quality"),
    "concrete": lambda: numbers("rtables/concrete.csv.gz", "compressive_strength"),
}


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1."""
    return np.asarray((x - x.mean(0)) / x.std(0))


def adult() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Adult's training and test rows; a cell without an answer is a level of its own."""
    return read("uci/adult_train.csv.gz").fillna("?"), read("uci/adult_test.csv.gz").fillna("?")
