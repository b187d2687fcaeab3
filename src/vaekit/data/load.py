"""From what a user names to data: a built-in set, or a file or folder of a kind that is known."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from vaekit.common.errors import DataError, UsageError
from vaekit.data import arrow
from vaekit.data.arrays import numpy_file
from vaekit.data.builtin import BUILTIN
from vaekit.data.dataset import Splits
from vaekit.data.idx import idx_folder
from vaekit.data.reading import blaming
from vaekit.data.streams import MEMORY, ImageStore, NpyStore, Store, Streamed, TableStore, in_memory, row_bytes
from vaekit.data.streams import images as images_of

if TYPE_CHECKING:
    from vaekit.data.tables import Schema

TEXT: Final = (".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz", ".tab.gz")
"""How the names of text files end that are read as tables."""


class Source(Protocol):
    """A kind of file or folder that data can come from."""

    words: str
    """What it is, as in "give {words}"."""

    def claims(self, path: Path) -> bool:
        """Whether `path`, which exists, is of this kind."""
        ...

    def read(self, path: Path) -> Splits:
        """The data at `path`; a `DataError` that names it if it is damaged."""
        ...

    def store(self, path: Path) -> Store | None:
        """The data where they lie, to be read piece by piece; None for a kind that is read into memory only."""
        ...


class IdxFolder:
    """A folder of IDX files, named as MNIST's are.

    >>> IdxFolder().claims(Path("."))
    True
    """

    words = "a folder of IDX files"

    def claims(self, path: Path) -> bool:
        """Any folder is claimed; `read` says what it lacks."""
        return path.is_dir()

    def read(self, path: Path) -> Splits:
        """See `idx_folder`."""
        return idx_folder(path)

    def store(self, path: Path) -> Store | None:
        """IDX files are small."""
        return None


class NumpyFile:
    """A .npy or .npz file.

    >>> NumpyFile().claims(Path("digits.NPZ"))
    True
    """

    words = "a .npy or .npz file"

    def claims(self, path: Path) -> bool:
        """Known by the ending of its name."""
        return path.suffix.lower() in {".npy", ".npz"}

    def read(self, path: Path) -> Splits:
        """See `numpy_file`."""
        return numpy_file(path)

    def store(self, path: Path) -> Store | None:
        """A .npy file is memory-mapped; the arrays in a .npz cannot be."""
        return NpyStore(path) if path.suffix.lower() == ".npy" else None


class MixedTable:
    """A file that is a table of mixed columns: text, Parquet or Arrow.

    >>> MixedTable().claims(Path("people.csv.gz"))
    True
    """

    words = "a table: .csv, .tsv, .parquet or .feather, text also with .gz"

    def claims(self, path: Path) -> bool:
        """Known by the ending of its name."""
        return not path.is_dir() and path.name.lower().endswith((*TEXT, *arrow.SUFFIXES))

    def read(self, path: Path, schema: Schema | Path | None = None) -> Splits:
        """All the rows, with their schema: inferred where none is given."""
        from vaekit.data.tables.files import read_frame  # loads pandas, which only a table needs
        from vaekit.data.tables.rows import table_rows

        frame = read_frame(path)
        with blaming(path):
            rows = table_rows(frame, schema, path.name.split(".")[0])
        return Splits(rows, None, name=rows.name, source=str(path.absolute()))

    def store(self, path: Path) -> Store | None:
        """Parquet and Arrow files can be streamed, if all their columns are numbers; all else is read into memory."""
        if path.suffix.lower() not in arrow.SUFFIXES:
            return None
        try:
            return TableStore(path)
        except DataError:  # of mixed columns, or damaged: `read` says which
            return None


class TableFiles:
    """A folder of Parquet or Arrow (Feather) files, of numbers alone.

    >>> TableFiles().claims(Path("readings.parquet"))
    True
    """

    words = "a folder of .parquet, .feather or .arrow files"

    def claims(self, path: Path) -> bool:
        """Known by the ending of its name, or of a name in it."""
        return any(file.suffix.lower() in arrow.SUFFIXES for file in _files(path))

    def read(self, path: Path) -> Splits:
        """All the rows; see `TableStore`."""
        return _whole(self.store(path), path)

    def store(self, path: Path) -> Store:
        """See `TableStore`."""
        return TableStore(path)


class ImageFolder:
    """A folder of images, whose sub-folders are labels.

    >>> ImageFolder().claims(Path("holiday.png"))
    False
    """

    words = "a folder of images"

    def claims(self, path: Path) -> bool:
        """Known by the images in it."""
        return path.is_dir() and any(file.suffix.lower() in images_of.SUFFIXES for file in _files(path))

    def read(self, path: Path) -> Splits:
        """All the images; see `ImageStore`."""
        return _whole(self.store(path), path)

    def store(self, path: Path) -> Store:
        """See `ImageStore`."""
        return ImageStore(path)


def _files(path: Path) -> Iterator[Path]:
    return path.rglob("*") if path.is_dir() else iter([path])


def _whole(store: Store, path: Path) -> Splits:
    return Splits(in_memory(store, f"{store.name} train"), None, name=store.name, source=str(path.absolute()))


SOURCES: list[Source] = [MixedTable(), TableFiles(), ImageFolder(), IdxFolder(), NumpyFile()]
"""The kinds of source, in the order in which they are asked."""


def load_data(source: str | Path, schema: Schema | Path | None = None) -> Splits:
    """The data that `source` names, in memory: a built-in set, a file or a folder of a kind that is known.

    A built-in name has the first claim: a folder called mnist is "./mnist", or a `Path`. A `schema` says what the
    columns of a table are; it is inferred if none is given.
    Raises `UsageError` where nothing goes by that name, `DataError` where what does cannot be read.

    >>> load_data("mnsit")
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: unknown data 'mnsit': did you mean the built-in 'mnist'? ...
    """
    if source in BUILTIN:
        return BUILTIN[str(source)].loader()
    path = _existing(source)
    reader = _reader(path)
    return reader.read(path, schema) if isinstance(reader, MixedTable) else reader.read(path)


def open_data(source: str | Path, memory: int = MEMORY, schema: Schema | Path | None = None) -> Splits | Streamed:
    """The data that `source` names: in memory, or where its rows take more than `memory` MiB, to be streamed.

    .npy files, Parquet and Arrow tables and folders of images can be streamed; the rest is read into memory always.
    Raises as `load_data` does, and `UsageError` for a memory that is not positive.

    >>> open_data("mnist").train
    Dataset(mnist train: 60000 images of 1 x 28 x 28, uint8, labelled)
    """
    if memory < 1:
        raise UsageError(f"memory is {memory} MiB: allow at least 1")
    if source in BUILTIN:
        return load_data(source)
    path = _existing(source)
    store = _reader(path).store(path)
    if store is None or len(store) * row_bytes(store) <= memory * 2**20:
        return load_data(path, schema)
    return Streamed(store, name=path.stem, source=str(path.absolute()), memory=memory)


def _existing(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if not path.exists():
        raise _nothing_called(str(source))
    return path


def _reader(path: Path) -> Source:
    for source in SOURCES:
        if source.claims(path):
            return source
    raise DataError(f"{path}: no kind of data that vaekit reads; accepted are {_accepted()}")


def _nothing_called(name: str) -> UsageError:
    nearest = difflib.get_close_matches(name, BUILTIN, n=1)
    guess = f"did you mean the built-in {nearest[0]!r}? " if nearest else ""
    return UsageError(f"unknown data {name!r}: {guess}No such file or folder; accepted are {_accepted()}")


def _accepted() -> str:
    return "; ".join([f"a built-in name ({', '.join(BUILTIN)})", *(source.words for source in SOURCES)])
