"""Rows of Parquet and Arrow files, read by groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Size

from vaekit.common.errors import DataError, UsageError
from vaekit.data.arrow import TableFile, arrow, faults_of_files, opened_table, table_files
from vaekit.data.dataset import Dataset
from vaekit.data.layout import canonical_labels
from vaekit.data.reading import blaming
from vaekit.data.streams.store import refuse_gaps


class TableStore:
    """The numeric columns of Parquet or Arrow files, one float vector to a row.

    `path` is a file, or a folder of parts, which are taken in the order of their names and must have the same
    columns. Blocks are the row groups of Parquet and the record batches of Arrow: what the format reads as a whole.
    `label` names a column of whole numbers that is the rows' label, and no part of x.

    Raises `UsageError` without pyarrow, and `DataError` that names the file and the column: text, dates, nulls, NaN,
    parts that differ, files that are damaged.
    """

    any_order = True
    beside = True
    dtype = torch.float32

    def __init__(self, path: Path, label: str | None = None) -> None:
        self.path, self.name, self.label = path, path.stem if path.is_file() else path.name, label
        self.files = [opened_table(file) for file in table_files(path)]
        _refuse_differing(self.files)
        self.columns = _numeric(self.files[0], label)
        sizes = np.concatenate([file.sizes for file in self.files])
        filled = sizes > 0
        self._file = np.repeat(np.arange(len(self.files)), [len(file.sizes) for file in self.files])[filled]
        self._group = np.concatenate([np.arange(len(file.sizes)) for file in self.files])[filled]
        self._edges = np.concatenate([[0], sizes[filled].cumsum()]).astype(np.int64)
        if not len(self):
            raise DataError(f"{path}: holds no rows: give at least one")

    @property
    def event_shape(self) -> Size:
        """One axis: the columns."""
        return Size((len(self.columns),))

    @property
    def labelled(self) -> bool:
        """Whether a label column was named."""
        return self.label is not None

    def __len__(self) -> int:
        return int(self._edges[-1])

    def edges(self, rows: int) -> np.ndarray:
        """The row groups, however many rows they have."""
        return self._edges

    def read(self, blocks: Iterable[range], seed: int = 0) -> Iterator[Dataset]:
        """See `Store.read`; the blocks are row groups."""
        for block in blocks:
            number = int(np.searchsorted(self._edges, block.start))
            file = self.files[self._file[number]]
            with blaming(file.path):
                yield self._group_of(file, int(self._group[number]), block)

    def _group_of(self, file: TableFile, group: int, block: range) -> Dataset:
        x = np.empty((len(block), len(self.columns)), np.float32)
        y = np.empty(len(block)) if self.label is not None else None
        at = 0
        wanted = self.columns if self.label is None else [*self.columns, self.label]
        for batch in faults_of_files(file.batches(group, wanted)):
            here, at = slice(at, at + batch.num_rows), at + batch.num_rows
            for number, column in enumerate(self.columns):
                x[here, number] = _values(batch, column, block.start + here.start)
            if y is not None:
                y[here] = _values(batch, wanted[-1], block.start + here.start)
        rows = Dataset(torch.from_numpy(x), None if y is None else canonical_labels(y), self.name)
        return refuse_gaps(rows, block.start, self.name, lambda column: repr(self.columns[column]))


def _refuse_differing(files: list[TableFile]) -> None:
    first = files[0]
    for file in files[1:]:
        if not file.schema.equals(first.schema):
            mine, other = (dict(zip(part.schema.names, part.schema.types, strict=True)) for part in (file, first))
            differing = next((name for name in [*other, *mine] if mine.get(name) != other.get(name)), None)
            raise DataError(
                f"{file.path}: column {differing!r} is {mine.get(differing, 'not there')}, but "
                f"{other.get(differing, 'not there')} in {first.path.name}: give all parts the same columns"
            )


def _numeric(file: TableFile, label: str | None) -> list[str]:
    """The columns of x; all must be numbers."""
    types = arrow().types
    checks = (types.is_integer, types.is_floating, types.is_boolean)
    if label is not None and label not in file.schema.names:
        raise UsageError(f"{file.path}: no column {label!r} for labels: it has {', '.join(file.schema.names)}")
    columns = [name for name in file.schema.names if name != label]
    for name in file.schema.names:
        kind = file.schema.field(name).type
        if not any(check(kind) for check in checks):
            raise DataError(f"{file.path}: column {name!r} is {kind}: code it in numbers, or leave it out")
    if not columns:
        raise DataError(f"{file.path}: no column of numbers: give at least one")
    return columns


def _values(batch: Any, column: str, first: int) -> np.ndarray:
    """A column's values; `first` is the number of the batch's first row."""
    found = batch.column(column)
    if found.null_count:
        row = first + int(np.flatnonzero(np.asarray(found.is_null()))[0])
        raise DataError(f"row {row} of column {column!r} is null: fill it in or drop the row")
    values: np.ndarray = found.to_numpy(zero_copy_only=False)
    return values
