"""The rows that a verb works on: those of a source, or of what the run was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vaekit.cli.rundir import open_model, run_config
from vaekit.common.errors import DataError, UsageError
from vaekit.data import BUILTIN, Dataset, Streamed, load_data, open_data
from vaekit.data.load import MixedTable
from vaekit.data.reading import blaming
from vaekit.data.splits import parted
from vaekit.data.streams import MEMORY
from vaekit.model import FittedVAE, Rows

if TYPE_CHECKING:
    from vaekit.data.tables import Schema


@dataclass(frozen=True)
class Used:
    """Rows at hand: as a model reads them, and where they are of a table the frame in which they are written."""

    rows: Dataset
    frame: Any = None
    """A pandas frame."""
    kind: str = "test"
    """What they are to the model: test, held-out or training."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def given(self) -> Rows:
        """What a fitted model is given: what it makes of it is then written alike."""
        return self.rows if self.frame is None else self.frame

    def take(self, places: Tensor) -> Used:
        """The rows at these places."""
        frame = None if self.frame is None else self.frame.iloc[places.tolist()]
        return replace(self, rows=self.rows.take(places), frame=frame)

    def at_most(self, count: int) -> Used:
        """So many rows, evenly spread over all, where there are more."""
        return self if len(self) <= count else self.take(torch.linspace(0, len(self) - 1, count).long())

    def first(self, count: int) -> Used:
        """The first rows, or all of them for 0."""
        if count < 0:
            raise UsageError(f"{count} rows: ask for 1 or more, or 0 for all")
        return self.take(torch.arange(min(count, len(self)))) if count else self


def opened(directory: Path, device: str = "auto") -> FittedVAE:
    """The model of a run; one of a table makes up frames that can be written, whatever library it learned from."""
    fitted = open_model(directory, device)
    schema = fitted.about.schema
    if schema is None:
        return fitted
    return FittedVAE(fitted.model, replace(fitted.about, schema=replace(schema, library="pandas")))


def rows_for(directory: Path, source: str | None, fitted: FittedVAE) -> Used:
    """The rows to look at: the test rows of the source, or of the run's own data; else its held-out or only rows."""
    if source is not None:
        return rows_of(source, fitted)
    return kept_back(directory, fitted) or replace(all_rows(directory, None, fitted), kind="training")


def rows_of(source: str, fitted: FittedVAE) -> Used:
    """The rows of a source, its test rows if it has some; for a model of a table, read with its own schema."""
    if fitted.about.schema is not None:
        return read_table(Path(source), fitted.about.schema)
    data = load_data(source)
    return Used(data.train if data.test is None else data.test)


def kept_back(directory: Path, fitted: FittedVAE) -> Used | None:
    """The rows of the run's own data that it did not learn from, if it kept any back."""
    config, name = run_config(directory), source_name(directory, None)
    if fitted.about.schema is not None:
        return _held_out(read_table(Path(name), fitted.about.schema), config)
    data = open_data(name, config.get("memory", MEMORY))
    if isinstance(data, Streamed):
        kind, rows = data.evaluated(config["validation"], config["seed"])
        return None if kind == "training" else Used(rows, kind=kind.replace("_", "-"))
    return _held_out(Used(data.train), config) if data.test is None else Used(data.test)


def known_again(directory: Path) -> bool:
    """Whether what the run was trained on is still at hand."""
    name = run_config(directory).get("source", "")
    return name in BUILTIN or (bool(name) and Path(name).expanduser().exists())


def all_rows(directory: Path, source: str | None, fitted: FittedVAE) -> Used:
    """The rows to do something for: those of a source; of the run's own data all that it was trained on or kept."""
    if source is not None:
        return rows_of(source, fitted)
    config, name = run_config(directory), source_name(directory, None)
    if fitted.about.schema is not None:
        return read_table(Path(name), fitted.about.schema)
    data = open_data(name, config.get("memory", MEMORY))
    if isinstance(data, Streamed):
        return Used(data.evaluated(config["validation"], config["seed"])[1])
    return Used(data.train)


def rows_learnt_from(directory: Path, source: str | None, fitted: FittedVAE) -> Used:
    """The training rows of a source; of the run's own data those it learnt from, without what it held out."""
    schema, name = fitted.about.schema, source_name(directory, source)
    rows = Used(load_data(name).train) if schema is None else read_table(Path(name), schema)
    if source is not None:
        return rows
    config = run_config(directory)
    return rows.take(parted(len(rows), config["validation"], config["seed"])[0])


def source_name(directory: Path, source: str | None) -> str:
    """The source, or what the run was trained on where none is named."""
    name: str | None = source or run_config(directory).get("source")
    if name is None:
        raise UsageError(f"{directory} does not say what it was trained on: name the data, as in {directory} mnist")
    return name


def read_table(path: Path, schema: Schema) -> Used:
    """The table in a file, as rows of this schema.

    Raises `DataError` that names the file, the row and the column of what does not fit.
    """
    from vaekit.data.tables.files import read_frame  # loads pandas, which only a table needs
    from vaekit.data.tables.rows import table_rows

    path = path.expanduser()
    if path.exists() and not MixedTable().claims(path):
        raise DataError(f"{path}: the model is of a table with named columns, so give {MixedTable.words}")
    frame = read_frame(path)
    with blaming(path):
        return Used(table_rows(frame, schema, path.name.split(".")[0]), frame)


def _held_out(rows: Used, config: Mapping[str, Any]) -> Used | None:
    held = parted(len(rows), config["validation"], config["seed"])[1]
    return None if held is None else replace(rows.take(held), kind="held-out")
