"""Codes: how the cells of a column become numbers that float32 holds, NaN where missing, and cells again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, ClassVar, Final, Self

import numpy as np
import pandas as pd

from vaekit.common.errors import CellError, DataError
from vaekit.data.tables.plain import first_where, is_dates, is_text, plain
from vaekit.data.tables.written import NumberText, read_dates

Level = str | bool | int | float
"""What names a level."""

Floats = np.ndarray
"""Codes of a column, float32 `(n,)`, NaN where missing."""


class Code(ABC):
    """How a column's cells are numbers.

    A code is a frozen dataclass whose fields are what a schema's file says of the column.
    """

    modelled: ClassVar[bool] = True

    @abstractmethod
    def encode(self, series: pd.Series, name: str) -> Floats:
        """The cells as float32 `(n,)`, NaN where missing; a `DataError` names the column, the row and the cell."""

    @abstractmethod
    def decode(self, codes: Floats) -> pd.Series:
        """The cells that codes stand for, `(n,)`, missing where NaN."""

    def reaching(self, codes: Floats) -> Self:
        """The same code, with a range that these codes are in; itself where they are."""
        return self

    @property
    @abstractmethod
    def words(self) -> str:
        """The levels or the range, in a few words."""

    def to_config(self) -> dict[str, Any]:
        """The fields as a file holds them; those that are as by default are left out."""
        by_default = {field.name: field.default for field in fields(self)}  # type: ignore[arg-type]
        told = {name: value for name, value in vars(self).items() if value != by_default[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A code from what a file holds; a `DataError` where it is none."""
        try:
            return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in config.items()})
        except TypeError as error:
            lacking = [field.name for field in fields(cls) if field.default is MISSING and field.name not in config]  # type: ignore[arg-type]
            said = f"it lacks {' and '.join(lacking)}" if lacking else str(error)
            raise DataError(f"{said}: give what is asked, or the table that the schema is for") from error


@dataclass(frozen=True)
class Numbers(Code):
    r"""Numbers, less an origin: the code of a cell :math:`v` is :math:`v - v_0`.

    The origin is 0 but where float32 would not tell the cells apart: whole numbers beyond :math:`2^{24}`, or
    decimals far from 0, that lie close together. Decoded numbers are rounded to the decimals that were seen, and
    kept within the range that was seen.

    >>> code = Numbers(low=16_777_216, high=16_777_219, decimals=0, origin=16_777_217)
    >>> code.decode(code.encode(pd.Series([16_777_217, 16_777_219, None]), "id")).tolist()
    [16777217.0, 16777219.0, nan]
    """

    low: float = -np.inf
    high: float = np.inf
    decimals: int | None = None
    origin: float = 0.0
    text: str = ""

    def __post_init__(self) -> None:
        if self.text:
            NumberText(self.text)

    def encode(self, series: pd.Series, name: str) -> Floats:
        values = numbers_in(series, name, self.text)
        with np.errstate(over="ignore"):
            codes = (values - self.origin).astype(np.float32)
        row = first_where(np.isinf(codes))
        if row is not None:
            raise CellError(
                name,
                row,
                f"holds {values[row]:g}, which is infinite in float32: "
                "mend the cell, or leave it empty if it is missing",
            )
        return codes

    def decode(self, codes: Floats) -> pd.Series:
        values = self._values(codes).clip(self.low, self.high)
        return pd.Series(values) if not self.text else _written(values, NumberText(self.text))

    def reaching(self, codes: Floats) -> Self:
        values = self._values(codes[~np.isnan(codes)])
        if not len(values):
            return self
        return replace(self, low=min(self.low, float(values.min())), high=max(self.high, float(values.max())))

    def _values(self, codes: Floats) -> np.ndarray:
        values = codes.astype(np.float64) + self.origin
        return np.asarray(values if self.decimals is None else np.round(values, self.decimals))

    @property
    def words(self) -> str:
        """The range."""
        return f"{self.low:.6g} to {self.high:.6g}"


@dataclass(frozen=True)
class Levels(Code):
    """One of a few levels, or of many: the code of a cell is its level's place among them.

    >>> code = Levels(("no", "yes"))
    >>> code.encode(pd.Series(["yes", None, "no"]), "smokes")
    array([ 1., nan,  0.], dtype=float32)
    >>> code.encode(pd.Series(["no", "yse"]), "smokes")
    Traceback (most recent call last):
    vaekit.common.errors.CellError: column 'smokes', row 1 holds 'yse', which is no known level: did you mean 'yes'? ...
    """

    levels: tuple[Level, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        if len(set(map(str, self.levels))) < len(self.levels):
            raise DataError("levels are given twice: give each once")

    def encode(self, series: pd.Series, name: str) -> Floats:
        codes, found = factorized(plain(series, name))
        places = self._places(found)
        unknown = (places < 0)[codes] & (codes >= 0) if len(found) else np.zeros(len(codes), bool)
        row = first_where(unknown)
        if row is not None:
            raise self._unknown(found[codes[row]], row, name)
        return np.asarray(np.append(places.astype(np.float32), np.float32(np.nan))[codes])

    def _places(self, found: pd.Index) -> np.ndarray:
        """The place of each value among the levels, -1 where it is none; numbers that were read as text are found."""
        places = pd.Index(self.levels, dtype=object).get_indexer(found.astype(object))
        by_text = pd.Index([text_of(level) for level in self.levels]).get_indexer([text_of(value) for value in found])
        return np.asarray(np.where(places < 0, by_text, places))

    def _unknown(self, value: object, row: int, name: str) -> DataError:
        names = [text_of(level) for level in self.levels]
        nearest = get_close_matches(text_of(value), names, n=1, cutoff=0.5)
        guess = f"did you mean {nearest[0]!r}? (known: " if nearest else "(known are "
        shown = value.item() if isinstance(value, np.generic) else value
        return CellError(
            name,
            row,
            f"holds {shown!r}, which is no known level: {guess}{_some(names)}; leave the cell empty if it is missing)",
        )

    def decode(self, codes: Floats) -> pd.Series:
        places = np.where(np.isnan(codes), -1, np.clip(np.rint(codes), 0, len(self.levels) - 1)).astype(np.intp)
        return pd.Series(pd.Categorical.from_codes(places, categories=self._categories, ordered=self.ordered))

    @property
    def _categories(self) -> pd.Index:
        return pd.Index(list(self.levels))

    @property
    def words(self) -> str:
        """How many levels, and the first of them."""
        return f"{len(self.levels)}: {_some([text_of(level) for level in self.levels])}"


@dataclass(frozen=True)
class Dates(Code):
    """Dates and times, in UTC, as days since an origin.

    float32 tells days apart for 45,000 years around the origin, and minutes for 30. Decoded dates are rounded to
    the `unit` that was seen (D, h, m, s, ms, us), and kept within the range that was seen.

    >>> code = Dates("1969-07-20", "1969-07-20", "1972-12-19", unit="D")
    >>> code.encode(pd.Series(pd.to_datetime(["1969-07-24", None])), "moon")
    array([ 4., nan], dtype=float32)
    """

    origin: str
    low: str
    high: str
    unit: str = "D"
    text: str = ""

    def __post_init__(self) -> None:
        for date in (self.origin, self.low, self.high):
            _as_date(date)
        if self.unit not in _UNITS:
            raise DataError(f"unit {self.unit!r} is none of {', '.join(_UNITS)}: choose one")

    def encode(self, series: pd.Series, name: str) -> Floats:
        dates = dates_in(series, name, self.text)
        days = (dates - _as_date(self.origin)) / np.timedelta64(1, "D")
        return days.astype(np.float32)

    def decode(self, codes: Floats) -> pd.Series:
        missing = np.isnan(codes)
        found = np.clip(self._dates(np.where(missing, 0, codes)), _as_date(self.low), _as_date(self.high))
        dates = np.where(missing, np.datetime64("NaT", "us"), found)
        return pd.Series(dates) if not self.text else _dates_written(dates, self.text)

    def reaching(self, codes: Floats) -> Self:
        dates = self._dates(codes[~np.isnan(codes)])
        if not len(dates):
            return self
        first, last = dates.min(), dates.max()
        return replace(
            self,
            low=str(first) if first < _as_date(self.low) else self.low,
            high=str(last) if last > _as_date(self.high) else self.high,
        )

    def _dates(self, codes: Floats) -> np.ndarray:
        steps = np.rint(codes.astype(np.float64) * _UNITS[self.unit]).astype(np.int64)
        return np.asarray(_as_date(self.origin) + steps * np.array(1, f"timedelta64[{self.unit}]").astype("<m8[us]"))

    @property
    def words(self) -> str:
        """The range."""
        return f"{self.low} to {self.high}"


@dataclass(frozen=True)
class Constant(Code):
    """One value, or nothing at all: there is nothing to model, and `decode` restores it.

    >>> Constant("NL").decode(np.zeros(2)).tolist()
    ['NL', 'NL']
    """

    modelled = False
    value: Level | None = None
    among: tuple[Level, ...] = ()
    """The categories that were declared, if it was a category."""
    ordered: bool = False

    def encode(self, series: pd.Series, name: str) -> Floats:
        return np.where(series.isna(), np.nan, 0).astype(np.float32)

    def decode(self, codes: Floats) -> pd.Series:
        cells = np.full(len(codes), self.value, dtype=object)
        return pd.Series(pd.Categorical(cells, self.among, ordered=self.ordered) if self.among else cells)

    @property
    def words(self) -> str:
        """The value."""
        return "nothing" if self.value is None else f"always {self.value}"


@dataclass(frozen=True)
class Identifier(Code):
    """A name or number for each row: nothing to model; `Schema.decode` takes it from the frame that it is like.

    >>> Identifier().words
    'a name to each row'
    """

    modelled = False

    def encode(self, series: pd.Series, name: str) -> Floats:
        return np.where(series.isna(), np.nan, 0).astype(np.float32)

    def decode(self, codes: Floats) -> pd.Series:
        return pd.Series(np.full(len(codes), None, dtype=object))

    @property
    def words(self) -> str:
        """What it is."""
        return "a name to each row"


def numbers_in(series: pd.Series, name: str, text: str = "") -> np.ndarray:
    """The numbers of a column, float64, NaN where missing; `text` is how they are written where they are text.

    >>> numbers_in(pd.Series(["1,200", "x"]), "rent")
    Traceback (most recent call last):
    vaekit.common.errors.CellError: column 'rent', row 1 holds 'x', which is no number: ...
    """
    cells = plain(series, name)
    if is_dates(cells):
        raise DataError(f"column {name!r} holds dates where numbers are expected: give numbers")
    if not is_text(cells) and not isinstance(cells.dtype, pd.CategoricalDtype):
        return np.asarray(cells.to_numpy(np.float64, na_value=np.nan))
    codes, found = factorized(cells)
    return _each(
        NumberText(text or "{}").read(found), codes, np.nan, lambda row: _no(found[codes[row]], row, name, "number")
    )


def dates_in(series: pd.Series, name: str, text: str = "") -> np.ndarray:
    """The dates of a column, datetime64[us], NaT where missing; `text` is how they are written where they are text.

    >>> dates_in(pd.Series(["1969-07-20", "soon"]), "moon", "%Y-%m-%d")
    Traceback (most recent call last):
    vaekit.common.errors.CellError: column 'moon', row 1 holds 'soon', which is no date: ...
    """
    cells = plain(series, name)
    if is_dates(cells):
        return np.asarray(cells.to_numpy().astype("datetime64[us]"))
    codes, found = factorized(cells)
    written = read_dates(found.astype(str), text or "ISO8601")
    return _each(written, codes, np.datetime64("NaT", "us"), lambda row: _no(found[codes[row]], row, name, "date"))


def factorized(cells: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """The place of each cell among the distinct values, -1 where missing, `(n,)`; and those values.

    >>> codes, found = factorized(pd.Series(["b", None, "a", "b"]))
    >>> codes.tolist(), list(found)
    ([0, -1, 1, 0], ['b', 'a'])
    """
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return cells.cat.codes.to_numpy().astype(np.intp), cells.cat.categories
    codes, found = pd.factorize(cells)
    return codes, pd.Index(found)


def text_of(value: object) -> str:
    """A level as text: whole numbers without a point.

    >>> text_of(3.0), text_of("3")
    ('3', '3')
    """
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)  # type: ignore[call-overload]


def _each(found: np.ndarray, codes: np.ndarray, missing: Any, fault: Any) -> np.ndarray:
    """What each cell is, by its place among the distinct values; one that is nothing is a fault."""
    row = first_where((pd.isna(found))[codes] & (codes >= 0)) if len(found) else None
    if row is not None:
        raise fault(row)
    return np.asarray(np.append(found, np.array([missing], found.dtype))[codes])


def _no(value: object, row: int, name: str, what: str) -> DataError:
    return CellError(
        name, row, f"holds {value!r}, which is no {what}: mend the cell, or leave it empty if it is missing"
    )


def _written(values: np.ndarray, text: NumberText) -> pd.Series:
    codes, found = pd.factorize(values)
    return pd.Series(np.array([*text.write(found), None], dtype=object)[codes])


def _dates_written(dates: np.ndarray, text: str) -> pd.Series:
    codes, found = pd.factorize(dates)
    return pd.Series(np.array([*pd.DatetimeIndex(found).strftime(text), None], dtype=object)[codes])


def _as_date(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "us")
    except ValueError as error:
        raise DataError(f"{text!r} is no date: write it as 1969-07-20 or 1969-07-20T20:17:40") from error


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names) - most} more)" if len(names) > most else "")


_UNITS: Final = {"D": 1, "h": 24, "m": 1440, "s": 86_400, "ms": 86_400_000, "us": 86_400_000_000}
"""How many of each unit are in a day."""
