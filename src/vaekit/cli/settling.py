"""What is chosen where a command line says nothing: the classic job's settings, or a table's by its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from vaekit.cli.options import Training
from vaekit.cli.speak import table
from vaekit.data import Dataset
from vaekit.data.streams import Store
from vaekit.defaults import Defaults
from vaekit.tabular import defaults_of, model_of, training_of

CLASSIC: Final[Mapping[str, Any]] = {
    "max_epochs": 50,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "validation": 0.1,
    "patience": 10,
}
FLAGS: Final[Mapping[str, str]] = {"max_epochs": "epochs"}
"""Settings that have another name on the command line."""


def by_size(rows: Dataset | Store) -> Defaults | None:
    """What the size and the kind of the data choose, where they are a table in memory."""
    return defaults_of(rows) if isinstance(rows, Dataset) and rows.schema is not None else None


def told_of(rows: Dataset | Store) -> tuple[str, ...]:
    """What the columns of a table were taken for, to be looked at; of arrays, how many values are missing."""
    if not isinstance(rows, Dataset):
        return ()
    if rows.schema is None:
        missing = int(rows.x.isnan().sum()) if rows.holes else 0
        return (f"{missing:,} values are missing (NaN): left out of the likelihood",) if missing else ()
    lines = [(each.name, each.kind, each.missing, each.values, each.remark) for each in rows.schema.summary()]
    return tuple(table(("column", "kind", "missing", "values", "remark"), lines).plain())


def settled(training: Training, chosen: Defaults | None) -> Training:
    """The settings, with a value for what was left open."""
    values = CLASSIC if chosen is None else training_of(chosen)
    flags = {FLAGS.get(name, name): value for name, value in values.items()}
    return replace(training, **{flag: value for flag, value in flags.items() if getattr(training, flag) is None})


def by_settings(training: Training) -> dict[str, Any]:
    """The settings of `fit` that may be left open, which are open no more."""
    return {name: getattr(training, FLAGS.get(name, name)) for name in CLASSIC}


def sized(model: Mapping[str, Any], chosen: Defaults | None) -> dict[str, Any]:
    """A recipe's settings, with the size of the nets where it was left open and the data choose it."""
    return {**({} if chosen is None else model_of(chosen)), **model}
