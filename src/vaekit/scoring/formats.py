"""The files that parts are written to."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.common.registry import Registry
from vaekit.scoring.tables import Columns


@dataclass(frozen=True)
class Piece:
    """Some rows of a part: the columns that are kept, as they came, and those that are added."""

    kept: Mapping[str, Any]
    added: Columns


class Format(Protocol):
    """A kind of file for the rows of a part."""

    @property
    def suffix(self) -> str:
        """The ending of its files' names."""
        ...

    def write(self, path: Path, pieces: Iterable[Piece]) -> None:
        """Write pieces, one after another, to a file."""
        ...


class ParquetParts:
    """Parquet, through pyarrow: all columns, with the types that they came with."""

    suffix = ".parquet"

    def write(self, path: Path, pieces: Iterable[Piece]) -> None:
        """A row group for each piece."""
        import pyarrow
        from pyarrow import parquet

        tables = (pyarrow.table({**_held(piece.kept), **piece.added}) for piece in pieces)
        first = next(tables)
        with parquet.ParquetWriter(path, first.schema) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)


class CsvParts:
    """CSV: a line a row, all columns, every float with the digits that it takes to read it back."""

    suffix = ".csv"

    def write(self, path: Path, pieces: Iterable[Piece]) -> None:
        """The header, then the lines."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            for number, piece in enumerate(pieces):
                columns = {**_held(piece.kept), **piece.added}
                if number == 0:
                    writer.writerow(columns)
                writer.writerows(zip(*map(_cells, columns.values()), strict=True))


class NpyParts:
    """NumPy's .npy: the added columns alone, `(rows, columns)`; rows are told by their order."""

    suffix = ".npy"

    def write(self, path: Path, pieces: Iterable[Piece]) -> None:
        """One array."""
        blocks = [np.stack(list(piece.added.values()), axis=1) for piece in pieces]
        with path.open("wb") as file:
            np.save(file, np.concatenate(blocks), allow_pickle=False)


FORMATS: Registry[Format] = Registry(
    "format of parts", {"parquet": ParquetParts(), "csv": CsvParts(), "npy": NpyParts()}
)
"""The formats by the names they have on the command line."""


def format_for(name: str) -> Format:
    """The format of this name; `auto` is Parquet where pyarrow is installed, else CSV.

    >>> format_for("npy").suffix
    '.npy'
    """
    arrow = importlib.util.find_spec("pyarrow") is not None
    if name == "parquet" and not arrow:
        raise UsageError("Parquet needs pyarrow: pip install 'vaekit[parquet]', or choose the format csv")
    return FORMATS[("parquet" if arrow else "csv") if name == "auto" else name]


def _held(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values.numpy() if isinstance(values, Tensor) else values for name, values in kept.items()}


def _cells(values: Any) -> Iterator[object]:
    """The entries of a column as Python's own objects."""
    array = values if isinstance(values, np.ndarray) else None
    if array is not None and array.dtype == np.float32:
        return (format(value, ".9g") for value in array.tolist())
    listed = getattr(values, "tolist", None) or getattr(values, "to_pylist", None)
    return iter(values if listed is None else listed())
