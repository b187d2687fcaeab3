"""What a store of rows is: something that gives blocks of them by their numbers, and need not fit in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import torch
from torch import Size

from vaekit.common.errors import DataError
from vaekit.data.dataset import Dataset

MEMORY: Final = 1024
"""MiB of rows that are held at once where nothing else is said; larger data are streamed."""


class Store(Protocol):
    """Rows, numbered from 0, that are read block by block."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def event_shape(self) -> Size:
        """The shape of a row."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The type that rows are kept in: `torch.uint8` or `torch.float32`."""
        ...

    @property
    def labelled(self) -> bool:
        """Whether each row has a label."""
        ...

    @property
    def any_order(self) -> bool:
        """Whether blocks can be read in any order; else only as they come."""
        ...

    @property
    def beside(self) -> bool:
        """Whether a background thread may read it while the main thread computes."""
        ...

    def __len__(self) -> int:
        """The number of rows."""
        ...

    def edges(self, rows: int) -> np.ndarray:
        """Where blocks begin, and the end, `(blocks + 1,)`: of at most `rows` rows each, or as they are stored."""
        ...

    def read(self, blocks: Iterable[range], seed: int = 0) -> Iterator[Dataset]:
        """The rows of these blocks, one block after another. What a store draws afresh is drawn from the seed.

        A `DataError` names the row (and file, and column) that cannot be read or holds no finite number.
        """
        ...


def row_bytes(store: Store) -> int:
    """Bytes that one row takes in memory."""
    return math.prod(store.event_shape) * store.dtype.itemsize


def even_edges(n: int, rows: int) -> np.ndarray:
    """Edges of blocks of `rows` rows, the last of which may be shorter.

    >>> even_edges(5, 2)
    array([0, 2, 4, 5])
    """
    return np.append(np.arange(0, n, max(rows, 1), dtype=np.int64), n)


def in_memory(store: Store, name: str = "") -> Dataset:
    """All the rows of a store, read into memory."""
    x = empty_rows(len(store), store)
    y = np.empty(len(store), np.int64) if store.labelled else None
    edges = store.edges(max(1, _PIECE // row_bytes(store)))
    blocks = [range(first, last) for first, last in pairwise(edges.tolist())]
    for block, rows in zip(blocks, store.read(blocks), strict=True):
        x[block.start : block.stop] = rows.x.numpy()
        if y is not None and rows.y is not None:
            y[block.start : block.stop] = rows.y.numpy()
    return Dataset(torch.from_numpy(x), None if y is None else torch.from_numpy(y), name or store.name)


def empty_rows(n: int, store: Store) -> np.ndarray:
    """Room for n rows of a store."""
    return np.empty((n, *store.event_shape), dtype=_NUMPY[store.dtype])


def numbered_column(column: int) -> str:
    """A column that has no name of its own, in words."""
    return f"column {column}"


def refuse_gaps(rows: Dataset, first: int, where: str, column: Callable[[int], str] = numbered_column) -> Dataset:
    """The rows as they are, or a `DataError` that names the first one with a NaN or an infinity, and its column.

    `first` is the number of the first of these rows in the store.

    >>> refuse_gaps(Dataset(torch.tensor([[0.0, torch.nan]])), 70, "big.npy")
    Traceback (most recent call last):
    vaekit.common.errors.DataError: big.npy: row 70 holds nan in column 1: fill it in or drop the row
    """
    values = rows.x.numpy()
    if values.dtype == np.uint8 or bool(np.isfinite(values).all()):
        return rows
    row, place = (int(found[0]) for found in (~np.isfinite(values.reshape(len(values), -1))).nonzero())
    value = values.reshape(len(values), -1)[row, place]
    raise DataError(f"{where}: row {first + row} holds {value:g} in {column(place)}: fill it in or drop the row")


_PIECE: Final = 2**24
_NUMPY: Final[dict[torch.dtype, np.dtype]] = {torch.uint8: np.dtype(np.uint8), torch.float32: np.dtype(np.float32)}
