"""Batches as users have them, seen as tables: named columns, to which others can be added."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from vaekit.common.errors import DataError

Columns = Mapping[str, np.ndarray]
"""Columns `(n,)` by name."""

NUMBERS = "buif"
"""The kinds of NumPy's dtypes that are real numbers."""


@runtime_checkable
class Table(Protocol):
    """A batch of n rows in named columns."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in order."""
        ...

    def __len__(self) -> int:
        """The number of rows."""
        ...

    def form(self, name: str) -> tuple[int, ...] | None:
        """The shape of a column's entries, `()` for a number each; None where they are no numbers."""
        ...

    def column(self, name: str) -> np.ndarray:
        """A column of numbers, `(n, *form)`; what is missing is NaN."""
        ...

    def raw(self, name: str) -> Any:
        """A column as it is held."""
        ...

    def extended(self, added: Columns) -> Any:
        """The batch, of the type that it came in, with columns added; it is not changed itself."""
        ...


class Plain:
    """A bare array or tensor, `(n, *event)`: one column, called x. It has no place for more, and comes back as these
    alone: `(n, columns added)`.

    >>> Plain(np.zeros((3, 28, 28))).extended({"score": np.ones(3), "elbo": np.zeros(3)}).shape
    (3, 2)
    """

    names = ("x",)

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch)

    def form(self, name: str) -> tuple[int, ...] | None:
        """The shape of a row."""
        return tuple(self.batch.shape[1:])

    def column(self, name: str) -> np.ndarray:
        """All of it."""
        return as_array(self.batch)

    def raw(self, name: str) -> Any:
        """All of it, as it is."""
        return self.batch

    def extended(self, added: Columns) -> Any:
        """What is added, side by side."""
        stacked = np.stack(list(added.values()), axis=1)
        return torch.from_numpy(stacked) if isinstance(self.batch, Tensor) else stacked


class Named:
    """A mapping from names to arrays or tensors, as Ray Data hands out.

    >>> Named({"id": np.array(["a", "b"]), "x": np.zeros((2, 5))}).form("x")
    (5,)
    """

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self.batch = batch
        self.names = tuple(batch)
        lengths = {name: len(values) for name, values in batch.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"columns of different lengths ({_listed(lengths)}): give all of them one length")

    def __len__(self) -> int:
        return len(next(iter(self.batch.values()), ()))

    def form(self, name: str) -> tuple[int, ...] | None:
        """See `Table.form`."""
        return form_of(self.batch[name])

    def column(self, name: str) -> np.ndarray:
        """See `Table.column`."""
        return as_array(self.batch[name])

    def raw(self, name: str) -> Any:
        """See `Table.raw`."""
        return self.batch[name]

    def extended(self, added: Columns) -> Any:
        """A dict of the same columns and those added: tensors where the batch holds nothing else."""
        tensors = all(isinstance(values, Tensor) for values in self.batch.values())
        return {**self.batch, **{name: torch.from_numpy(new) if tensors else new for name, new in added.items()}}


class Frame:
    """A pandas DataFrame; its index is kept."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch
        self.names = tuple(batch.columns)

    def __len__(self) -> int:
        return len(self.batch)

    def form(self, name: str) -> tuple[int, ...] | None:
        """See `Table.form`."""
        kind = self.batch[name].dtype.kind
        return () if kind in NUMBERS else form_of(self.batch[name].to_numpy()) if kind == "O" else None

    def column(self, name: str) -> np.ndarray:
        """See `Table.column`."""
        values = self.batch[name]
        if values.dtype.kind in "buif" and not isinstance(values.dtype, np.dtype):  # pandas' own, with room for NA
            return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
        return as_array(values.to_numpy())

    def raw(self, name: str) -> Any:
        """See `Table.raw`."""
        return self.batch[name]

    def extended(self, added: Columns) -> Any:
        """See `Table.extended`."""
        return self.batch.assign(**added)


class Arrow:
    """A pyarrow Table or RecordBatch; its schema's metadata are kept."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch
        self.names = tuple(batch.schema.names)

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def form(self, name: str) -> tuple[int, ...] | None:
        """See `Table.form`."""
        from pyarrow import types

        kind = self.batch.schema.field(name).type
        checks = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        if any(check(kind) for check in checks):
            return ()
        listed = (types.is_list, types.is_large_list, types.is_fixed_size_list)
        return form_of(self.column(name)) if hasattr(kind, "shape") or any(check(kind) for check in listed) else None

    def column(self, name: str) -> np.ndarray:
        """See `Table.column`."""
        return _of_arrow(self.batch.column(name))

    def raw(self, name: str) -> Any:
        """See `Table.raw`."""
        return self.batch.column(name)

    def extended(self, added: Columns) -> Any:
        """See `Table.extended`."""
        import pyarrow

        arrays = {name: pyarrow.array(np.ascontiguousarray(values)) for name, values in added.items()}
        schema = self.batch.schema
        for name, values in arrays.items():
            schema = schema.append(pyarrow.field(name, values.type))
        return type(self.batch).from_arrays([*self.batch.columns, *arrays.values()], schema=schema)


def _of_arrow(values: Any) -> np.ndarray:
    """The entries of an Arrow column: numbers, lists of one length, or tensors of one shape."""
    chunk = values.combine_chunks() if hasattr(values, "combine_chunks") else values
    if hasattr(chunk, "to_numpy_ndarray"):
        return np.asarray(chunk.to_numpy_ndarray())
    if hasattr(chunk, "flatten") and hasattr(chunk.type, "value_type") and not chunk.null_count:
        return _of_lists(chunk)
    found = chunk.to_numpy(zero_copy_only=False)
    return as_array(found if found.dtype.kind in NUMBERS else _numbers(found))


def _of_lists(chunk: Any) -> np.ndarray:
    """Lists of one length, without an object for each."""
    entries = _of_arrow(chunk.flatten())
    lengths = np.unique(chunk.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise DataError("entries of different lengths: give each row as many numbers")
    return entries.reshape(len(chunk), -1, *entries.shape[1:]) if len(chunk) else entries


def _numbers(found: np.ndarray) -> np.ndarray:
    """Booleans and decimals with gaps come as objects; None among them is NaN."""
    if len(found) and all(entry is None or np.ndim(entry) == 0 for entry in found):
        return np.array([np.nan if entry is None else entry for entry in found], dtype=np.float64)
    return found


def as_array(values: Any) -> np.ndarray:
    """Values as one array; entries that are arrays or lists must have one shape.

    >>> as_array([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
        return array if array.dtype != object else np.stack([_entry(entry) for entry in array])
    except (TypeError, ValueError) as error:
        raise DataError("entries of different lengths, or no numbers: give each row as many of them") from error


def _entry(entry: Any) -> np.ndarray:
    """An entry that is an array, or a list of such."""
    array = np.asarray(entry)
    return array if array.dtype != object else np.stack([_entry(part) for part in array])


def form_of(values: Any) -> tuple[int, ...] | None:
    """The shape of the entries of a column, by the first of them where each is an object of its own."""
    if isinstance(values, Tensor):
        return tuple(values.shape[1:])
    array = np.asarray(values)
    if array.dtype.kind in NUMBERS:
        return array.shape[1:]
    if array.dtype.kind != "O" or not len(array) or not isinstance(array[0], (np.ndarray, list)):
        return None
    try:
        return as_array(array[:1]).shape[1:] if as_array(array[:1]).dtype.kind in NUMBERS else None
    except DataError:
        return None


def _listed(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {length}" for name, length in lengths.items())


def _of_type(module: str, *names: str) -> Callable[[object], bool]:
    """Whether something is of a type of a package that need not be installed."""

    def claims(batch: object) -> bool:
        return any(kind.__name__ in names and kind.__module__.split(".")[0] == module for kind in type(batch).__mro__)

    return claims


def _is_plain(batch: object) -> bool:
    return isinstance(batch, (np.ndarray, Tensor))


def _is_named(batch: object) -> bool:
    return isinstance(batch, Mapping)


KINDS: Sequence[tuple[Callable[[object], bool], Callable[[Any], Table]]] = (
    (_is_plain, Plain),
    (_is_named, Named),
    (_of_type("pandas", "DataFrame"), Frame),
    (_of_type("pyarrow", "Table", "RecordBatch"), Arrow),
)
"""The kinds of batch: how each is known, and what makes a table of it."""


def as_table(batch: Any) -> Table:
    """A batch as a table: an array or tensor, a mapping of them, a pandas DataFrame, a pyarrow Table or RecordBatch.

    Raises `DataError` for anything else.

    >>> as_table({"a": np.arange(3)}).names
    ('a',)
    """
    for claims, make in KINDS:
        if claims(batch):
            return make(batch)
    if isinstance(batch, Table):
        return batch
    raise DataError(
        f"a batch of type {type(batch).__name__}: "
        "give a dict of arrays, an array, a tensor, a DataFrame or an Arrow table"
    )
