"""Kinds of columns: how each is recognised, what its code is, and which numbers it may hold."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, ClassVar, Final

import numpy as np

from vaekit.common.errors import DataError
from vaekit.common.registry import Registry
from vaekit.data.tables.codes import Code, Constant, Dates, Identifier, Levels, Numbers, dates_in, numbers_in
from vaekit.data.tables.seen import FEW, Seen

_DECIMALS: Final = 9
_SMALL: Final = 20.0
_SPREAD: Final = 0.7
_GRADES: Final = 5
_REPEATS: Final = 5
_ROWS_TO_A_LEVEL: Final = 5
_ID: Final = re.compile(r"(?i:(^|.*[\s_.-])(id|uuid|guid|key|index|idx|rownames?|row))|.*[a-z]I[dD]|Unnamed: 0|")


class Kind(ABC):
    """A kind of column; `KINDS` asks them in order, and the first that recognises a column has it."""

    code_type: ClassVar[type[Code]]
    must: ClassVar[str] = ""
    """What its numbers must be, in words."""

    @abstractmethod
    def recognises(self, seen: Seen) -> bool:
        """Whether a column is of this kind."""

    @abstractmethod
    def code(self, seen: Seen) -> Code:
        """The code of a column of this kind."""

    def remark(self, seen: Seen) -> str:
        """What is worth saying on the choice."""
        return ""

    def wrong(self, values: np.ndarray) -> np.ndarray:
        """Which numbers are none of this kind, bool `(n,)`; NaN is right."""
        return np.zeros(len(values), bool)


class ConstantKind(Kind):
    """One value, or nothing at all; blanks beside the one value do not count. Not modelled."""

    code_type = Constant

    def recognises(self, seen: Seen) -> bool:
        return len(seen.values) < 2

    def code(self, seen: Seen) -> Code:
        if len(seen.values) > 1:
            raise DataError(f"column {seen.name!r} has {len(seen.values)} values and is no constant: give another kind")
        among = seen.levels if seen.declared else ()
        value = next(iter(seen.values.tolist()), None)
        return Constant(value.isoformat() if isinstance(value, datetime) else value, among, seen.ordered)

    def remark(self, seen: Seen) -> str:
        return "one value: nothing to model" if len(seen.values) else "all missing: nothing to model"


class DatetimeKind(Kind):
    """Dates and times, or text that is written as dates."""

    code_type = Dates

    def recognises(self, seen: Seen) -> bool:
        return seen.dates is not None

    def code(self, seen: Seen) -> Code:
        dates = _dates(seen)
        low, high = dates.min(), dates.max()
        origin = (low + (high - low) // 2).astype("datetime64[D]")
        return Dates(_short(origin), _short(low), _short(high), _unit(dates), seen.text)

    def remark(self, seen: Seen) -> str:
        either = len(seen.date_texts) > 1
        return f"read as {seen.text}; {' or '.join(seen.date_texts[1:])} fits too" if either else ""


class LevelsKind(Kind):
    """A kind whose cells are levels."""

    code_type = Levels

    def code(self, seen: Seen) -> Code:
        return Levels(seen.levels, seen.ordered)


class Binary(LevelsKind):
    """Truth values, or two levels; of numbers, 0 and 1, other whole ones, or two that come back again and again."""

    def recognises(self, seen: Seen) -> bool:
        return seen.size == 2 and (seen.numbers is None or seen.whole or _repeated(seen))


class IdentifierKind(Kind):
    """A name for each row: text that is nearly always another, or whole numbers that are and that are named so."""

    code_type = Identifier

    def recognises(self, seen: Seen) -> bool:
        if seen.textual:
            return len(seen.values) == seen.count or len(seen.values) > max(FEW, seen.count / 2)
        return seen.whole and len(seen.values) == seen.count and _ID.fullmatch(seen.name) is not None

    def code(self, seen: Seen) -> Code:
        return Identifier()

    def remark(self, seen: Seen) -> str:
        return "all distinct" if len(seen.values) == seen.count else f"{len(seen.values)} values in {seen.count} cells"


class Ordinal(LevelsKind):
    """Levels with an order: declared by the table, or a few whole numbers that lie close and are no counts."""

    def recognises(self, seen: Seen) -> bool:
        return (seen.ordered and seen.size > 2) or _grades(seen)

    def code(self, seen: Seen) -> Code:
        return Levels(seen.levels, ordered=True)

    def remark(self, seen: Seen) -> str:
        return "" if seen.ordered else "few whole numbers; categorical if they are codes"


class Categorical(LevelsKind):
    """Levels without an order: text, or what the table declares to be categories."""

    def recognises(self, seen: Seen) -> bool:
        return seen.numbers is None

    def remark(self, seen: Seen) -> str:
        if _rare(seen):
            return "more than half of the levels are seen once"
        each = seen.count / seen.size
        thin = seen.size > FEW and each < _ROWS_TO_A_LEVEL
        return f"about {each:.0f} rows to a level: too few to learn much of each" if thin else ""


class NumberKind(Kind):
    """A kind whose cells are numbers."""

    code_type = Numbers

    def code(self, seen: Seen) -> Code:
        values = _numbers(seen)
        return Numbers(_number(values.min()), _number(values.max()), _decimals(values), text=seen.text)


class Count(NumberKind):
    """Whole numbers from 0 or 1 that are small, at most 20 on average where not 0, and vary as counts do or more.

    A few values that lie close are grades rather than counts: up to five, or more if the greatest is not far out, by
    three deviations.
    """

    must = "a whole number from 0"

    def recognises(self, seen: Seen) -> bool:
        if not seen.whole or seen.numbers is None or seen.numbers.min() not in (0, 1):
            return False
        mean, variance = seen.numbers.mean(), seen.numbers.var()
        small = seen.numbers[seen.numbers > 0].mean() <= _SMALL
        far_out = len(seen.values) > _GRADES and seen.numbers.max() > mean + 3 * np.sqrt(variance)
        return bool(small and variance >= _SPREAD * mean and (far_out or not _grades(seen)))

    def wrong(self, values: np.ndarray) -> np.ndarray:
        return (values < 0) | (values % 1 > 0)


class Positive(NumberKind):
    """Numbers above 0, the greatest at least twice the least: a scale on which ratios mean something."""

    must = "above 0"

    def recognises(self, seen: Seen) -> bool:
        return seen.numbers is not None and bool(0 < 2 * seen.numbers.min() <= seen.numbers.max())

    def wrong(self, values: np.ndarray) -> np.ndarray:
        return values <= 0


class Numeric(NumberKind):
    """Any other numbers."""

    def recognises(self, seen: Seen) -> bool:
        return seen.numbers is not None

    def code(self, seen: Seen) -> Code:
        values = _numbers(seen)
        decimals = _decimals(values)
        return Numbers(_number(values.min()), _number(values.max()), decimals, _origin(values, decimals), seen.text)


KINDS: Registry[Kind] = Registry(
    "kind of column",
    {
        "constant": ConstantKind(),
        "datetime": DatetimeKind(),
        "binary": Binary(),
        "identifier": IdentifierKind(),
        "count": Count(),
        "ordinal": Ordinal(),
        "positive": Positive(),
        "numeric": Numeric(),
        "categorical": Categorical(),
    },
)
"""The kinds by name, in the order in which they are asked whether a column is theirs."""


def kind_of(seen: Seen) -> str:
    """The name of the first kind that recognises a column.

    >>> import pandas as pd
    >>> [kind_of(Seen(pd.Series(cells), "x")) for cells in (["a", "a"], ["a", "b", "a"], [0.5, -1.0], [0, 1, 7, 0])]
    ['constant', 'binary', 'numeric', 'count']
    """
    seen.refuse_wrong_cells()
    return next(name for name, kind in KINDS.items() if kind.recognises(seen))


def _numbers(seen: Seen) -> np.ndarray:
    """The observed numbers; a `DataError` names the first cell that is none."""
    values = seen.numbers if seen.numbers is not None else numbers_in(seen.series, seen.name)
    return _some_of(values[~np.isnan(values)], seen, "numbers")


def _dates(seen: Seen) -> np.ndarray:
    """The observed dates; a `DataError` names the first cell that is none."""
    dates = seen.dates if seen.dates is not None else dates_in(seen.series, seen.name)
    return _some_of(dates[~np.isnat(dates)], seen, "dates")


def _some_of(values: np.ndarray, seen: Seen, what: str) -> np.ndarray:
    if not len(values):
        raise DataError(f"column {seen.name!r} is all missing: it has no {what} to take a range from")
    return values


def _grades(seen: Seen) -> bool:
    """Whether it is a few whole numbers that lie close and come back again and again."""
    if not seen.whole or seen.numbers is None or len(seen.values) > FEW or not _repeated(seen):
        return False
    return bool(seen.numbers.max() - seen.numbers.min() < 2 * len(seen.values))


def _repeated(seen: Seen) -> bool:
    return seen.count >= _REPEATS * len(seen.values)


def _rare(seen: Seen) -> bool:
    if len(seen.values) <= FEW:
        return False
    return bool((seen.series.value_counts() == 1).sum() > len(seen.values) / 2)


def _decimals(values: np.ndarray) -> int | None:
    """How many decimals all values have at most; None where they have more than nine."""
    some = values[:: len(values) // 1000 + 1]
    least = next((places for places in range(_DECIMALS + 1) if _is_rounded(some, places)), _DECIMALS + 1)
    return next((places for places in range(least, _DECIMALS + 1) if _is_rounded(values, places)), None)


def _is_rounded(values: np.ndarray, places: int) -> bool:
    return bool((np.round(values, places) == values).all())


def _origin(values: np.ndarray, decimals: int | None) -> float:
    """0 where float32 holds the values to their decimals; else the middle of their range, if that helps."""
    middle = np.round((values.min() + values.max()) / 2, decimals or 0)
    return _number(middle) if _lost(values, float(middle), decimals) < _lost(values, 0.0, decimals) else 0


def _lost(values: np.ndarray, origin: float, decimals: int | None) -> float:
    """The greatest error of a value that passes through float32 and is rounded to the decimals."""
    with np.errstate(over="ignore"):
        passed = (values - origin).astype(np.float32).astype(np.float64) + origin
    return float(np.abs((passed if decimals is None else np.round(passed, decimals)) - values).max())


def _unit(dates: np.ndarray) -> str:
    """The coarsest unit of which all dates are a whole number."""
    units = ("D", "h", "m", "s", "ms", "us")
    return next(unit for unit in units if (dates.astype(f"datetime64[{unit}]") == dates).all())


def _short(date: np.datetime64) -> str:
    """A date in ISO's form, without a time of day where that is midnight."""
    return str(np.array(date).astype(f"datetime64[{_unit(np.array([date]))}]"))


def _number(value: float | np.floating[Any]) -> float:
    """A number as a file holds it: whole ones without a point."""
    return int(value) if float(value).is_integer() else float(value)
