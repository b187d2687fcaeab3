"""Which columns of a batch are the rows that a model explains, and which are their labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from torch import Tensor

from vaekit.common.errors import DataError, RowError, UsageError, unknown
from vaekit.data import Dataset, canonical_labels, canonical_rows, refuse_nonfinite
from vaekit.scoring.tables import Plain, Table, as_array

if TYPE_CHECKING:
    from vaekit.data.tables import Schema

ROWS: Final = "x"
LABELS: Final = "y"


@dataclass(frozen=True)
class Selection:
    """The columns that a model reads: those of x, in order, and that of the labels.

    Where no columns are named, x is the column called x; else x0, x1, ... as vaekit writes them; else the only column
    whose entries are arrays of the model's size; else all columns of numbers, if there are as many as the model reads.
    The labels, for a model that reads any, are the column y unless another is named.

    >>> from vaekit.scoring.tables import as_table
    >>> batch = as_table({"id": np.array(["a", "b"]), "height": np.ones(2), "width": np.zeros(2)})
    >>> Selection().names(batch, (2,))
    ('height', 'width')
    """

    columns: tuple[str, ...] | None = None
    labels: str | None = None

    def names(self, table: Table, event_shape: tuple[int, ...]) -> tuple[str, ...]:
        """The columns of x. Raises `UsageError` for one that is not there, `DataError` where they cannot be told."""
        if self.columns is not None:
            return tuple(_there(name, table) for name in self.columns)
        width = math.prod(event_shape)
        forms = {name: table.form(name) for name in table.names if name != self.labels}
        numbers = tuple(name for name, form in forms.items() if form == ())
        numbered = tuple(f"x{index}" for index in range(width))
        arrays = tuple(name for name, form in forms.items() if form and math.prod(form) == width)
        if ROWS in forms:
            return (ROWS,)
        if set(numbered) <= set(numbers):
            return numbered
        if len(arrays) == 1:
            return arrays
        if len(numbers) == width:
            return numbers
        raise DataError(
            f"the model reads {width} values a row, and there are {len(numbers)} columns of numbers "
            f"({_first(numbers)}): name those that it reads, by columns"
        )

    def reads(self, table: Table, event_shape: tuple[int, ...], labelled: bool) -> tuple[str, ...]:
        """All columns that a model reads, the labels last if it is `labelled`."""
        label = self._label(table) if labelled else None
        names = self.names(table, event_shape)
        return names if label is None or label in names else (*names, label)

    def rows(self, table: Table, event_shape: tuple[int, ...], labelled: bool) -> Dataset:
        """The rows of a batch as a data set, with labels if the model reads them and the batch has them.

        Raises `RowError` for what is no finite number, `DataError` for a wrong number of columns.
        """
        names = self.names(table, event_shape)
        values = _entries(table, names[0]) if len(names) == 1 else _side_by_side(table, names)
        flat = values.ndim == 2 and values.shape[1] == math.prod(event_shape)
        x = canonical_rows(values.reshape(len(values), *event_shape) if flat else values)
        label = self._label(table) if labelled else None
        return refuse_nonfinite(Dataset(x, None if label is None else canonical_labels(table.column(label))))

    def _label(self, table: Table) -> str | None:
        if self.labels is not None:
            return _there(self.labels, table)
        return LABELS if LABELS in table.names else None


class Reading(Protocol):
    """Which columns of a batch are the rows that a model explains, and what rows they are."""

    def names(self, table: Table, event_shape: tuple[int, ...]) -> tuple[str, ...]:
        """The columns of x."""
        ...

    def reads(self, table: Table, event_shape: tuple[int, ...], labelled: bool) -> tuple[str, ...]:
        """All columns that a model reads."""
        ...

    def rows(self, table: Table, event_shape: tuple[int, ...], labelled: bool) -> Dataset:
        """The rows as a data set."""
        ...


@dataclass(frozen=True)
class BySchema:
    """The columns of the table that a model was fitted to, found by their names; others are not looked at.

    >>> import pandas
    >>> from vaekit.data.tables import infer
    >>> from vaekit.scoring.tables import as_table
    >>> known = infer(pandas.DataFrame({"size": [1.5, -2.5, 3.25], "sex": ["f", "m", "f"]}))
    >>> batch = as_table({"id": np.arange(2), "sex": np.array(["m", "f"]), "size": np.array([0.5, np.nan])})
    >>> BySchema(known).rows(batch, (2,), labelled=False).x
    tensor([[0.5000, 1.0000],
            [   nan, 0.0000]])
    """

    schema: Schema

    def names(self, table: Table, event_shape: tuple[int, ...]) -> tuple[str, ...]:
        """The modelled columns. Raises `UsageError` for one that is not there."""
        if isinstance(table, Plain):
            return table.names
        return tuple(_there(column.name, table) for column in self.schema.modelled)

    def reads(self, table: Table, event_shape: tuple[int, ...], labelled: bool) -> tuple[str, ...]:
        """These, and the labels where there are any."""
        label = self.schema.label
        names = self.names(table, event_shape)
        return (*names, label.name) if label is not None and label.name in table.names else names

    def rows(self, table: Table, event_shape: tuple[int, ...], labelled: bool) -> Dataset:
        """The rows of a batch, as the schema encodes them: what is missing is NaN.

        Raises `CellError` for a cell that does not fit.
        """
        import pandas  # only a table needs it

        from vaekit.data.tables.rows import table_rows

        if isinstance(table, Plain):
            return table_rows(table.column("x"), self.schema)
        cells = {name: _cells(table.raw(name)) for name in self.reads(table, event_shape, labelled)}
        return table_rows(pandas.DataFrame(cells), self.schema)


def _cells(held: Any) -> Any:
    """A column as pandas takes it."""
    return held.to_pandas() if hasattr(held, "to_pandas") else as_array(held) if isinstance(held, Tensor) else held


def _there(name: str, table: Table) -> str:
    if name not in table.names:
        raise unknown("column", name, table.names)
    return name


def _entries(table: Table, name: str) -> np.ndarray:
    values = table.column(_of_numbers(table, name))
    return values[:, None] if values.ndim == 1 else values


def _side_by_side(table: Table, names: tuple[str, ...]) -> np.ndarray:
    """Columns of a number each as the columns of a matrix, float32."""
    matrix = np.empty((len(table), len(names)), np.float32)
    for place, name in enumerate(names):
        matrix[:, place] = _finite(_one_a_row(table, name), name)
    return matrix


def _one_a_row(table: Table, name: str) -> np.ndarray:
    if table.form(_of_numbers(table, name)) != ():
        raise UsageError(f"column {name!r} holds arrays: name it alone, or columns of one number each")
    with np.errstate(over="ignore"):
        return table.column(name).astype(np.float32)


def _of_numbers(table: Table, name: str) -> str:
    if table.form(name) is None:
        raise DataError(f"column {name!r} holds no numbers: code it in numbers, or leave it out of columns")
    return name


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise RowError(int(wrong[0]), f"column {name!r}", f"holds {values[wrong[0]]:g}: fill it in or drop the row")
    return values


def _first(names: tuple[str, ...], shown: int = 8) -> str:
    return ", ".join([*names[:shown], *(["..."] if len(names) > shown else [])]) or "none"
