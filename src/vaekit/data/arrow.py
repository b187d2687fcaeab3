"""Parquet and Arrow files, one or a folder of them, through pyarrow: opened, and read in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from vaekit.common.errors import DataError, UsageError, first_line
from vaekit.data.reading import blaming

PARQUET: Final = (".parquet", ".pq")
ARROW: Final = (".feather", ".arrow", ".ipc")
SUFFIXES: Final = PARQUET + ARROW
_ROWS: Final = 8192


class TableFile(Protocol):
    """One file of a table."""

    path: Path
    schema: Any
    sizes: np.ndarray

    def batches(self, group: int, columns: list[str]) -> Iterator[Any]:
        """A group of its rows as record batches of a few thousand."""
        ...


class ParquetFile:
    """A Parquet file: its row groups are read one by one, and of those the columns that are wanted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        here = arrow().fs.LocalFileSystem()
        fragment = arrow().dataset.ParquetFileFormat().make_fragment(str(path.absolute()), here)
        self.schema = fragment.physical_schema
        self.sizes = np.array([group.num_rows for group in fragment.row_groups], np.int64)
        self._fragment = fragment

    def batches(self, group: int, columns: list[str]) -> Iterator[Any]:
        """See `TableFile.batches`."""
        frugal = {"batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}
        rows = self._fragment.subset(row_group_ids=[group])
        yield from rows.to_batches(columns=columns, batch_size=_ROWS, **frugal)


class ArrowFile:
    """An Arrow (Feather) file: its record batches are read one by one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._reader() as reader:
            self.schema = reader.schema
            groups = reader.num_record_batches
        with self._reader([0] if len(self.schema) else None) as reader:
            self.sizes = np.array([reader.get_batch(group).num_rows for group in range(groups)], np.int64)

    def batches(self, group: int, columns: list[str]) -> Iterator[Any]:
        """See `TableFile.batches`."""
        with self._reader([self.schema.get_field_index(column) for column in columns]) as reader:
            batch = reader.get_batch(group)
            yield from (batch.slice(start, _ROWS) for start in range(0, batch.num_rows, _ROWS))

    def _reader(self, fields: list[int] | None = None) -> Any:
        ipc, files = arrow().ipc, arrow()
        options = ipc.IpcReadOptions(included_fields=fields or [], use_threads=False)
        return ipc.open_file(files.OSFile(str(self.path)), options=options)


_KINDS: Final[dict[str, Callable[[Path], TableFile]]] = {
    **dict.fromkeys(PARQUET, ParquetFile),
    **dict.fromkeys(ARROW, ArrowFile),
}


def table_files(path: Path) -> list[Path]:
    """The table files at a path: itself, or those in the folder, at any depth, by name; hidden ones are left out."""
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if _is_table(file.relative_to(path)))
    if not files:
        raise DataError(f"{path}: no {', '.join(SUFFIXES)} in this folder: put the parts there")
    return files


def _is_table(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not any(part.startswith((".", "_")) for part in file.parts)


def arrow() -> Any:
    """The library, with the parts of it that are used here; a `UsageError` where it is not installed."""
    try:
        import pyarrow
        import pyarrow.dataset
        import pyarrow.fs
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError("Parquet and Arrow files need pyarrow: pip install 'vaekit[parquet]'") from error
    return pyarrow


def opened_table(path: Path) -> TableFile:
    """A table's file, of the kind that its name says; a `DataError` that names it if it is damaged."""
    arrow()
    with blaming(path):
        (file,) = faults_of_files(map(_KINDS[path.suffix.lower()], [path]))
    opened: TableFile = file
    return opened


def faults_of_files(items: Iterator[Any]) -> Iterator[Any]:
    """The items, with what pyarrow makes of a damaged file said in one line."""
    try:
        yield from items
    except arrow().ArrowInvalid as error:
        line = first_line(error)
        raise DataError(f"is cut short or no such file as its name says ({line}): write it anew") from error
