"""A `.npy` file that stays on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Size

from vaekit.common.errors import DataError
from vaekit.data.dataset import Dataset
from vaekit.data.layout import canonical_rows
from vaekit.data.reading import blaming
from vaekit.data.streams.store import even_edges, refuse_gaps


class NpyStore:
    """The rows of a `.npy` file, memory-mapped block by block.

    Each block is mapped by itself and let go once it is copied, so that the pages of the file that were read do not
    stay with the process. Any number of axes and type that `canonical_rows` knows will do.

    Raises `DataError` that names the file, where it is cut short, pickled, empty, or stored column by column.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "big.npy"), np.arange(8.0).reshape(4, 2))
    ...     store = NpyStore(Path(folder, "big.npy"))
    ...     next(store.read([range(2, 4)])).x
    tensor([[4., 5.],
            [6., 7.]])
    """

    labelled = False
    any_order = True
    beside = True

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        with blaming(path):
            header = _header(path)
            self._shape, self._stored, self._offset = header.shape, header.dtype, header.offset
            first = canonical_rows(self._mapped(range(1)))
        self.event_shape: Size = first.shape[1:]
        self.dtype: torch.dtype = first.dtype

    def __len__(self) -> int:
        return int(self._shape[0])

    def edges(self, rows: int) -> np.ndarray:
        """Blocks of `rows` rows."""
        return even_edges(len(self), rows)

    def read(self, blocks: Iterable[range], seed: int = 0) -> Iterator[Dataset]:
        """See `Store.read`."""
        for block in blocks:
            with blaming(self.path):
                rows = Dataset(canonical_rows(self._mapped(block)), name=self.name)
            yield refuse_gaps(rows, block.start, str(self.path))

    def _mapped(self, block: range) -> np.ndarray:
        shape = (len(block), *self._shape[1:])
        row = self._stored.itemsize * int(np.prod(self._shape[1:]))
        return np.memmap(self.path, self._stored, "r", self._offset + block.start * row, shape)


def _header(path: Path) -> np.memmap:
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # numpy parses foreign bytes, and fails on them in more ways than it documents
        mend = "save it anew by numpy.save"
        raise DataError(f"is cut short, not NumPy's, or pickled, which is never loaded: {mend}") from error
    if mapped.ndim < 2 or not mapped.size:
        fault = "has" if mapped.size else "is empty, of"
        raise DataError(f"{fault} shape {mapped.shape}: give rows with at least one value each")
    if not mapped.flags.c_contiguous:
        raise DataError("is stored column by column: save it anew by numpy.save(path, numpy.ascontiguousarray(x))")
    return mapped
