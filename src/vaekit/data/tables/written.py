"""Numbers and dates that are written as text: how they are written, read back to numbers, and written again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from vaekit.common.errors import DataError

_NUMBER: Final = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?"
_CELL: Final = re.compile(rf"\s*(?P<prefix>[$€£¥]?)\s*(?P<digits>{_NUMBER})\s*(?P<suffix>%?)\s*")
_CODE: Final = r"\s*[-+]?0\d+\s*"
_TEMPLATE: Final = re.compile(r"(?P<prefix>[^{}]*)\{(?::(?P<comma>,?)(?:\.(?P<places>\d+)f)?)?\}(?P<suffix>[^{}]*)")

_DAYS: Final = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y"),
)
_TIMES: Final = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S", "T%H:%M:%S.%f", "T%H:%M:%SZ", "T%H:%M")

DATES: Final = tuple(f"{day}{time}" for day in _DAYS for time in _TIMES)
"""How dates may be written, in the order in which it is tried: where day and month could be either, month first."""


@dataclass(frozen=True)
class NumberText:
    """Numbers that are written one way: a sign of money before, a per cent after, commas between thousands.

    `template` is as Python formats a number.

    >>> money = NumberText("${:,.2f}")
    >>> money.read(pd.Index(["$1,234.50", "twelve"]))
    array([1234.5,    nan])
    >>> money.write(np.array([1234.5]))
    ['$1,234.50']
    """

    template: str = "{}"

    def __post_init__(self) -> None:
        if _TEMPLATE.fullmatch(self.template) is None:
            raise DataError(f"text {self.template!r} is no way to write numbers: write it as '{{}}' or '{{:,.2f}}%'")

    @property
    def _parts(self) -> dict[str, str]:
        found = _TEMPLATE.fullmatch(self.template)
        return {key: part or "" for key, part in found.groupdict().items()} if found else {}

    def read(self, cells: pd.Index) -> np.ndarray:
        """The numbers that are written, float64; NaN where none is."""
        text = cells.astype(str).str.strip()
        text = text.str.removeprefix(self._parts["prefix"].strip()).str.removesuffix(self._parts["suffix"].strip())
        numbers = pd.Series(text).str.strip()
        fits = numbers.str.fullmatch(_NUMBER) & ~numbers.str.fullmatch(_CODE)
        plain = numbers.where(fits.astype(bool)).str.replace(",", "", regex=False)
        return np.asarray(pd.to_numeric(plain, errors="coerce").to_numpy(np.float64, na_value=np.nan))

    def write(self, numbers: np.ndarray) -> list[str]:
        """Each number as text."""
        whole = "{}" in self.template
        return [self.template.format(int(x) if whole and x == int(x) else x) for x in numbers.tolist()]

    @classmethod
    def of(cls, cells: pd.Index) -> NumberText | None:
        """How these cells are written, if all are numbers, written one way; text like 007 is a code, and no number.

        >>> NumberText.of(pd.Index(["12%", "7%"])), NumberText.of(pd.Index(["01234", "5"]))
        (NumberText(template='{}%'), None)
        """
        found = [_CELL.fullmatch(cell) for cell in cells]
        if not found or any(match is None or looks_like_code(match["digits"]) for match in found):
            return None
        matches = [match for match in found if match is not None]
        affixes = {(match["prefix"], match["suffix"]) for match in matches}
        if len(affixes) > 1:
            return None
        ((prefix, suffix),) = affixes
        return cls(f"{prefix}{{{_layout([match['digits'] for match in matches])}}}{suffix}")


def _layout(digits: list[str]) -> str:
    places = {len(each.partition(".")[2]) for each in digits}
    comma = "," if any("," in each for each in digits) else ""
    fixed = f".{places.pop()}f" if len(places) == 1 and not any("e" in each.lower() for each in digits) else ""
    return f":{comma}{fixed}" if (comma or fixed not in ("", ".0f")) else ""


def looks_like_number(cell: str) -> bool:
    """Whether a cell is a number, however it is written.

    >>> [looks_like_number(cell) for cell in ("$1,234", "3,14", "A4")]
    [True, True, False]
    """
    return _CELL.fullmatch(cell) is not None or re.fullmatch(r"\s*[-+]?\d+,\d+\s*", cell) is not None


def looks_like_code(cell: str) -> bool:
    """Whether a cell is digits that begin with 0, as in 007: its zeros mean something, so it is no number.

    >>> looks_like_code("007"), looks_like_code("0.7")
    (True, False)
    """
    return cell[:1] in "0 -+" and re.fullmatch(_CODE, cell) is not None


def date_formats(cells: pd.Index) -> list[str]:
    """The ways in which all these cells are dates, as `strftime` has them.

    >>> date_formats(pd.Index(["1969-07-20", "2024-02-29"]))
    ['%Y-%m-%d']
    >>> date_formats(pd.Index(["07/08/2020"]))
    ['%m/%d/%Y', '%d/%m/%Y']
    """
    head = cells[:50]
    if not len(cells) or not all(any(map(str.isdigit, cell)) and len(cell) >= 8 for cell in head):
        return []
    return [written for written in DATES if _all_dates(head, written) and _all_dates(cells, written)]


def read_dates(cells: pd.Index, written: str) -> np.ndarray:
    """The dates that are written, datetime64[us]; NaT where none is.

    >>> read_dates(pd.Index(["20.07.1969", "soon"]), "%d.%m.%Y").astype("datetime64[D]")
    array(['1969-07-20', 'NaT'], dtype='datetime64[D]')
    """
    return np.asarray(pd.to_datetime(cells, format=written, errors="coerce").to_numpy().astype("datetime64[us]"))


def _all_dates(cells: pd.Index, written: str) -> bool:
    return not bool(np.isnat(read_dates(cells, written)).any())
