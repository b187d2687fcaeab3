"""Tables in files: CSV in the dialects that are met, Parquet and Arrow."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from vaekit.common.errors import DataError, UsageError, first_line
from vaekit.data.arrow import ARROW, PARQUET, faults_of_files, opened_table
from vaekit.data.reading import blaming
from vaekit.data.tables.frames import refuse_repeated
from vaekit.data.tables.written import looks_like_code

MISSING: Final = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "<NA>", "?")
"""The cells of a text file that are missing. "None" is none of them: it is often the name of a level."""

SUFFIXES: Final = (".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz", ".tab.gz")
"""How the names of text files end that are read as tables."""

_QUOTED: Final[dict[str, Any]] = {"skipinitialspace": True, "strict": True}
_SEPARATORS: Final = (",", ";", "\t", "|")
_HEAD: Final = 1000
_NUMBER: Final = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_WITH_COMMA: Final = re.compile(r"\s*[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+\s*")
_WITH_POINT: Final = re.compile(r"\s*[-+]?\d*\.\d+\s*")
_WITH_BOTH: Final = re.compile(r"\s*[-+]?\d{1,3}(\.\d{3})+(,\d+)?\s*")


@dataclass(frozen=True)
class Dialect:
    """How a text file is written: what separates cells, and what stands before the decimals.

    >>> Dialect.of("name;height\\nAda;1,65\\nAlan;1,78\\n")
    Dialect(separator=';', decimal=',', thousands=None)
    """

    separator: str = ","
    decimal: str = "."
    thousands: str | None = None

    @classmethod
    def of(cls, head: str) -> Dialect:
        """The dialect of the first lines of a file."""
        separator = max(_SEPARATORS, key=lambda each: _agreement(head, each))
        cells = [cell for row in islice(_rows(head, separator), 1, None) for cell in row]
        comma = separator != "," and _any(_WITH_COMMA, cells) and not any(_plain_point(cell) for cell in cells)
        return cls(separator, ",", "." if _any(_WITH_BOTH, cells) else None) if comma else cls(separator)


def read_frame(path: str | Path, names: Sequence[str] | None = None) -> pd.DataFrame:
    """The table in a file: text (CSV, also gzipped), Parquet, Feather or Arrow.

    Of text, the separator (comma, semicolon, tab, bar) and the decimal comma are told by the first thousand lines;
    cells in `MISSING` are missing; a column with numbers like 007 there stays text. `names` are for a file without
    a header. Raises `DataError` that names the file, the line and the mend: an empty file, a damaged one, a line with
    more or fewer cells than the header, names that are there twice, a header that is missing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "people.csv")
    ...     _ = file.write_text("name;height\\nAda;1,65\\nAlan;NA\\n")
    ...     read_frame(file)
       name  height
    0   Ada    1.65
    1  Alan     NaN
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UsageError(f"{path}: no such file: check the path")
    with blaming(path):
        reader: Callable[[Path, Any], pd.DataFrame] = _BINARY.get(path.suffix.lower(), _read_text)
        return reader(path, names)


def _read_text(path: Path, names: Sequence[str] | None) -> pd.DataFrame:
    text = _decoded(_bytes(path))
    if not text.strip():
        raise DataError("is empty: give a line of names and at least one of cells")
    head = "".join(islice(io.StringIO(text, newline=""), _HEAD))
    dialect = Dialect.of(head)
    header = list(names) if names is not None else _header(head, dialect.separator)
    refuse_repeated(header)
    _refuse_ragged(text, dialect.separator, len(header), given=names is not None)
    return _parsed(text, dialect, header, skip=names is None, codes=_codes(head, dialect.separator))


def _bytes(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"is a damaged gzip file ({first_line(error)}): compress it again, or fetch it anew") from error


def _decoded(content: bytes) -> str:
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"line {line} is no {encoding.removesuffix('-sig').upper()}: save the file as UTF-8") from error


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    """The cells of each line that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    return (row for row in reader if row)


def _agreement(head: str, separator: str) -> tuple[float, int]:
    """How well lines agree on the number of their cells, and that number; nothing where a line is one cell."""
    try:
        counts = Counter(len(row) for row in _rows(head, separator))
    except csv.Error:
        return 0.0, 0
    width, lines = max(counts.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
    return (lines / counts.total(), width) if width > 1 else (0.0, 0)


def _any(pattern: re.Pattern[str], cells: list[str]) -> bool:
    return any(pattern.fullmatch(cell) for cell in cells)


def _plain_point(cell: str) -> bool:
    return _WITH_POINT.fullmatch(cell) is not None and _WITH_BOTH.fullmatch(cell) is None


def _header(head: str, separator: str) -> list[str]:
    names = [name.strip() for name in next(_rows(head, separator))]
    numbers = [float(name) for name in names if _NUMBER.fullmatch(name)]
    if numbers and not _count_up(numbers):
        raise DataError(
            f"line 1 holds numbers ({', '.join(names[:4])}, ...) and no names: put a line of names before it"
        )
    return [name or f"Unnamed: {place}" for place, name in enumerate(names)]


def _count_up(numbers: list[float]) -> bool:
    """Whether numbers that are names count, as years do, or places: one after another."""
    return len(numbers) > 1 and bool((np.diff(numbers) == 1).all())


def _refuse_ragged(text: str, separator: str, width: int, *, given: bool) -> None:
    told = f"{width} names were given" if given else f"line 1 has {width}"
    rows, line = 0, 1
    try:
        for line, cells in _widths(text, separator):
            if cells != width:
                raise DataError(f"line {line} has {_cells(cells)}, but {told}: mend that line, or quote its cells")
            rows += 1
    except csv.Error as error:
        raise DataError(f"a line after line {line} cannot be read ({error}): look for a quote left open") from error
    if rows < 2 - given:
        raise DataError("holds a line of names and nothing else: give at least one line of cells")


def _widths(text: str, separator: str) -> Iterator[tuple[int, int]]:
    """Of each line that is not blank, its number and how many cells it has; cells in quotes may span lines."""
    if '"' not in text:
        for number, line in enumerate(io.StringIO(text), 1):
            if not line.isspace() or separator in line:
                yield number, line.count(separator) + 1
        return
    begins, reader = 1, csv.reader(io.StringIO(text, newline=""), delimiter=separator, **_QUOTED)
    for row in reader:
        if row:
            yield begins, len(row)
        begins = reader.line_num + 1


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)}"


def _codes(head: str, separator: str) -> set[int]:
    """The places of the columns with numbers like 007 in the first lines."""
    rows = islice(_rows(head, separator), 1, None)
    return {place for row in rows for place, cell in enumerate(row) if looks_like_code(cell)}


def _parsed(text: str, dialect: Dialect, names: list[str], *, skip: bool, codes: set[int]) -> pd.DataFrame:
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=dialect.separator,
            decimal=dialect.decimal,
            thousands=dialect.thousands,
            names=names,
            header=0 if skip else None,
            index_col=False,
            dtype={names[place]: "str" for place in codes if place < len(names)},
            na_values=list(MISSING),
            keep_default_na=False,
            skipinitialspace=True,
            low_memory=False,
        )
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(f"cannot be read as a table ({first_line(error)}): mend that line") from error


def _read_binary(read: Callable[[Path], pd.DataFrame]) -> Callable[[Path, Any], pd.DataFrame]:
    def reader(path: Path, names: Sequence[str] | None) -> pd.DataFrame:
        opened_table(path)
        (frame,) = faults_of_files(map(read, [path]))
        if frame.empty:
            raise DataError("holds no rows: give at least one")
        return frame if names is None else frame.set_axis(list(names), axis=1)

    return reader


_BINARY: Final[dict[str, Callable[[Path, Any], pd.DataFrame]]] = {
    **dict.fromkeys(PARQUET, _read_binary(pd.read_parquet)),
    **dict.fromkeys(ARROW, _read_binary(pd.read_feather)),
}
