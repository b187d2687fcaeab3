"""Where rows come from: sources that know how many they have, and read any range of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from vaekit.common.errors import DataError, RowError
from vaekit.data import SOURCES, Dataset, load_data
from vaekit.data.arrow import faults_of_files, opened_table, table_files
from vaekit.data.builtin import BUILTIN
from vaekit.data.load import TEXT, TableFiles
from vaekit.data.reading import blaming
from vaekit.data.streams import Store
from vaekit.scoring.fingerprint import digest_of_files, digest_of_rows
from vaekit.scoring.tables import Table, as_table


class Source(Protocol):
    """Rows by their numbers, read in bounded memory, more than once if need be."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def rows(self) -> int:
        """How many there are."""
        ...

    def fingerprint(self) -> str:
        """A digest that changes when the rows do."""
        ...

    def read(self, start: int, stop: int, at_once: int, columns: Sequence[str] | None = None) -> Iterator[Table]:
        """The rows of a range, in order, at most `at_once` at a time; of tables, these columns or all of them."""
        ...


class Held:
    """A data set in memory: its rows are the column x, its labels y.

    >>> import torch
    >>> next(Held(Dataset(torch.eye(3))).read(1, 3, 10)).column("x")
    array([[0., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.name = dataset.name or "data"

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.dataset)

    def fingerprint(self) -> str:
        """A digest of all values."""
        return digest_of_rows(self.dataset)

    def read(self, start: int, stop: int, at_once: int, columns: Sequence[str] | None = None) -> Iterator[Table]:
        """See `Source.read`."""
        for first in range(start, stop, at_once):
            yield _table_of(self.dataset.take(range(first, min(first + at_once, stop))))


class StoreRows:
    """A store of `vaekit.data.streams`: a .npy file, a folder of images."""

    def __init__(self, store: Store, path: Path) -> None:
        self.store, self.path = store, path
        self.name = str(path)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.store)

    def fingerprint(self) -> str:
        """See `digest_of_files`."""
        return digest_of_files(self.path)

    def read(self, start: int, stop: int, at_once: int, columns: Sequence[str] | None = None) -> Iterator[Table]:
        """See `Source.read`."""
        blocks = (range(first, min(first + at_once, stop)) for first in range(start, stop, at_once))
        return map(_table_of, self.store.read(blocks))


def _table_of(rows: Dataset) -> Table:
    return as_table({"x": rows.x.numpy()} | ({} if rows.y is None else {"y": rows.y.numpy()}))


class TableRows:
    """Parquet or Arrow files: one, or a folder of them in the order of their names.

    Only the row groups that a range meets are read, a few thousand rows at a time.

    Raises `UsageError` without pyarrow, `DataError` that names the file for one that is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self.files = table_files(path)
        self.groups = [
            (file, group, int(rows)) for file in self.files for group, rows in enumerate(opened_table(file).sizes)
        ]
        if not self.rows:
            raise DataError(f"{path}: holds no rows: give at least one")

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(rows for _, _, rows in self.groups)

    def fingerprint(self) -> str:
        """See `digest_of_files`."""
        return digest_of_files(self.path)

    def read(self, start: int, stop: int, at_once: int, columns: Sequence[str] | None = None) -> Iterator[Table]:
        """See `Source.read`."""
        at = 0
        for file, group, rows in self.groups:
            if at < stop and start < at + rows:
                yield from _group(file, group, max(start - at, 0), min(stop - at, rows), at_once, columns)
            at += rows


def _group(
    path: Path, group: int, start: int, stop: int, at_once: int, columns: Sequence[str] | None
) -> Iterator[Table]:
    """The rows of a range within a row group."""
    with blaming(path):
        file, at = opened_table(path), 0
        names = list(file.schema.names if columns is None else columns)
        for batch in faults_of_files(file.batches(group, names)):
            first, last = max(start - at, 0), min(stop - at, batch.num_rows)
            yield from (as_table(batch.slice(here, min(at_once, last - here))) for here in range(first, last, at_once))
            at += batch.num_rows
            if at >= stop:
                return


class FrameRows:
    """A table in a file of text, in any dialect that `vaekit.data.tables.read_frame` reads; it is held in memory.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "people.csv")
    ...     _ = path.write_text("name;height\\nAda;1,65\\nAlan;1,78\\n")
    ...     next(FrameRows(path).read(1, 2, 10)).column("height")
    array([1.78])
    """

    def __init__(self, path: Path, frame: Any = None) -> None:
        """Of a file; where its rows are at hand already, or some of them, those."""
        from vaekit.data.tables.files import read_frame  # loads pandas, which only a table needs

        self.path, self.name = path, str(path)
        self._frame = read_frame(path) if frame is None else frame

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self._frame)

    def fingerprint(self) -> str:
        """See `digest_of_files`."""
        return digest_of_files(self.path)

    def read(self, start: int, stop: int, at_once: int, columns: Sequence[str] | None = None) -> Iterator[Table]:
        """See `Source.read`."""
        frame = self._frame if columns is None else self._frame[list(columns)]
        for first in range(start, stop, at_once):
            yield as_table(frame.iloc[first : min(first + at_once, stop)])


class CsvRows:
    """A .csv file (or .tsv): a line a row, with a header unless the first line is all numbers: then x0, x1, ...

    What the model does not read is kept as the text that it is. A field may be quoted, but hold no line break.

    Raises `DataError` that names the file, and the row for a line with too few or too many fields.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "rows.csv")
    ...     _ = path.write_text("id,a,b\\n007,1,2\\n008,3,4\\n")
    ...     table = next(CsvRows(path).read(1, 2, 10))
    >>> table.raw("id"), table.column("b")
    (['008'], array([4.]))
    """

    EVERY: Final = 4096
    """Lines between two places that are noted in a first pass, to begin from."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self.delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        with blaming(path):
            self._note()

    def _note(self) -> None:
        self._places: list[int] = []
        self.rows = 0
        with self.path.open("rb") as file:
            head = file.readline()
            first = self._fields([head.decode("utf-8-sig")])[0] if head.strip() else []
            if not first:
                raise DataError("is empty, or begins with an empty line: give a header or a row")
            headless = all(map(_is_number, first))
            self.columns = tuple(f"x{index}" for index in range(len(first))) if headless else tuple(first)
            at = 0 if headless else file.tell()
            file.seek(at)
            for line in file:
                if line.strip():
                    self._note_row(at, line)
                at += len(line)
        if not self.rows:
            raise DataError("holds no rows: give at least one")

    def _note_row(self, at: int, line: bytes) -> None:
        if line.count(b'"') % 2:
            raise RowError(self.rows, "the file", "has a quoted line break: write it in one line")
        if self.rows % self.EVERY == 0:
            self._places.append(at)
        self.rows += 1

    def fingerprint(self) -> str:
        """See `digest_of_files`."""
        return digest_of_files(self.path)

    def read(self, start: int, stop: int, at_once: int, columns: Sequence[str] | None = None) -> Iterator[Table]:
        """See `Source.read`."""
        with blaming(self.path), self.path.open("rb") as file:
            file.seek(self._places[start // self.EVERY])
            lines = (line.decode("utf-8-sig") for line in file if line.strip())
            for _ in islice(lines, start % self.EVERY):
                pass
            for first in range(start, stop, at_once):
                yield self._table(first, self._fields(islice(lines, min(at_once, stop - first))))

    def _fields(self, lines: Any) -> list[list[str]]:
        try:
            return list(csv.reader(lines, delimiter=self.delimiter))
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"is no CSV in UTF-8 ({error}): write it anew") from error

    def _table(self, first: int, rows: list[list[str]]) -> Table:
        for number, fields in enumerate(rows, first):
            if len(fields) != len(self.columns):
                raise RowError(number, "the file", f"has {len(fields)} fields, not {len(self.columns)}: mend it")
        return Texts(self.columns, rows)


class Texts:
    """Rows of text, of which those columns that are asked for are read as numbers.

    >>> Texts(("a", "b"), [["1", "x"], ["2", "y"]]).form("b") is None
    True
    """

    def __init__(self, names: tuple[str, ...], rows: list[list[str]]) -> None:
        self.names, self._rows = names, rows

    def __len__(self) -> int:
        return len(self._rows)

    def form(self, name: str) -> tuple[int, ...] | None:
        """A number each, if the first is one."""
        return () if _is_number(self.raw(name)[0]) else None

    def column(self, name: str) -> np.ndarray:
        """The numbers; an empty field is NaN."""
        return np.array([self._number(row, name, text) for row, text in enumerate(self.raw(name))])

    def _number(self, row: int, name: str, text: str) -> float:
        try:
            return float(text) if text.strip() else math.nan
        except ValueError as error:
            raise RowError(row, f"column {name!r}", f"holds {text!r}, no number: mend it, or drop the row") from error

    def raw(self, name: str) -> list[str]:
        """The texts."""
        place = self.names.index(name)
        return [row[place] for row in self._rows]

    def extended(self, added: Any) -> Any:
        """The texts and the numbers that are added, by name."""
        return {**{name: self.raw(name) for name in self.names}, **added}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


CSV: Final = (".csv", ".tsv")


def source_at(name: str | Path, *, mixed: bool = False) -> Source:
    """The rows that `name` means: a built-in set's test rows, or those of a file or folder, which stay on the disk.

    Tables and .csv files keep their columns; a .npy file and a folder of images are read as they are needed; what
    else `load_data` knows is held in memory, of that with a test split the test rows. With `mixed`, as a model of a
    table needs it, text is read as `FrameRows`.

    Raises `UsageError` where nothing goes by that name, `DataError` where it cannot be read.

    >>> source_at("mnist").rows
    10000
    """
    path = Path(name).expanduser()
    if name in BUILTIN or not path.exists():
        return _held(name)
    if mixed and path.is_file() and path.name.lower().endswith(TEXT):
        return FrameRows(path)
    if path.suffix.lower() in CSV and path.is_file():
        return CsvRows(path)
    if TableFiles().claims(path):
        return TableRows(path)
    kind = next((kind for kind in SOURCES if kind.claims(path)), None)
    store = kind.store(path) if kind else None
    return _held(path) if store is None else StoreRows(store, path)


def _held(name: str | Path) -> Source:
    data = load_data(name)
    return Held(data.train if data.test is None else data.test)
