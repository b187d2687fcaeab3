"""What is seen of a column: the facts from which its kind is chosen."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from vaekit.common.errors import DataError
from vaekit.data.tables.codes import Level, dates_in, factorized, numbers_in
from vaekit.data.tables.plain import first_where, is_dates, is_numbers, is_text, plain
from vaekit.data.tables.written import NumberText, date_formats, looks_like_code, looks_like_number

FEW: Final = 20
"""So many distinct values, or fewer, are few."""

_SAMPLE: Final = 1000
_MOST: Final = 0.9
_LEAST: Final = 1e-30


class Seen:
    """One column of a table, and what its kind depends on, each found when first asked for.

    >>> seen = Seen(pd.Series(["12%", "7%", None]), "share")
    >>> seen.count, seen.missing, seen.numbers
    (2, 0.333333, array([12.,  7.]))
    """

    def __init__(self, series: pd.Series, name: str) -> None:
        self.name, self.series = name, plain(series, name)

    @cached_property
    def _factors(self) -> tuple[np.ndarray, pd.Index]:
        return factorized(self.series)

    @cached_property
    def missing(self) -> float:
        """The share of cells that are missing."""
        return round(1 - self.count / max(len(self.series), 1), 6)

    @cached_property
    def count(self) -> int:
        """How many cells are observed."""
        return int(self.series.notna().sum())

    @cached_property
    def values(self) -> pd.Index:
        """The distinct observed values: declared categories in their order, others as they come."""
        codes, found = self._factors
        return found[np.bincount(codes[codes >= 0], minlength=len(found)) > 0] if self.declared else found

    @property
    def declared(self) -> bool:
        """Whether the table itself declares levels."""
        return isinstance(self.series.dtype, pd.CategoricalDtype)

    @property
    def size(self) -> int:
        """How many levels there are, as in `levels`."""
        return len(self.series.cat.categories) if self.declared else len(self.values)

    @property
    def ordered(self) -> bool:
        """Whether the table itself declares an order of levels."""
        return self.declared and bool(self.series.cat.ordered)

    @property
    def levels(self) -> tuple[Level, ...]:
        """All levels, in order: those that are declared, also where none is observed, else those that are observed.

        Text whose levels are all numbers is in the order of the numbers.
        """
        if self.declared:
            return tuple(self.series.cat.categories.tolist())
        if is_text(self.series) and self.numbers is not None:
            return tuple(self.values[NumberText(self.text).read(self.values).argsort()].tolist())
        return tuple(_whole(value) for value in self.values.sort_values().tolist())

    @cached_property
    def text(self) -> str:
        """How numbers or dates are written, where the column is text."""
        if not is_text(self.series) or not self.count:
            return ""
        number = NumberText.of(self.values.astype(str)) if self._number_share == 1 else None
        return number.template if number else next(iter(self.date_texts), "")

    @cached_property
    def date_texts(self) -> list[str]:
        """The ways in which the column's text may be dates."""
        return date_formats(self.values.astype(str)) if is_text(self.series) else []

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """The observed numbers, float64, as they are or as they are written; None where the column has none."""
        if not is_numbers(self.series) and "{" not in self.text:
            return None
        values = numbers_in(self.series, self.name, self.text)
        row = first_where(np.isinf(values))
        if row is not None:
            raise DataError(
                f"column {self.name!r}, row {row} holds {values[row]:g}: "
                "mend the cell, or leave it empty if it is missing"
            )
        return np.asarray(values[~np.isnan(values)])

    @cached_property
    def dates(self) -> np.ndarray | None:
        """The observed dates, datetime64[us]; None where the column has none."""
        if not is_dates(self.series) and "%Y" not in self.text:
            return None
        dates = dates_in(self.series, self.name, self.text)
        return np.asarray(dates[~np.isnat(dates)])

    @cached_property
    def whole(self) -> bool:
        """Whether all observed cells are whole numbers."""
        return self.numbers is not None and bool((self.numbers == np.round(self.numbers)).all())

    @property
    def textual(self) -> bool:
        """Whether it is text, undeclared, and no numbers or dates."""
        return is_text(self.series) and not self.text

    @cached_property
    def _number_share(self) -> float:
        """The share of distinct values that look like numbers, by a thousand of them; none where any is like 007."""
        sample = self.values[:: len(self.values) // _SAMPLE + 1].astype(str)
        share = float(np.mean([looks_like_number(cell) for cell in sample]))
        return 0.0 if share >= _MOST and any(map(looks_like_code, self.values.astype(str))) else share

    def refuse_wrong_cells(self) -> None:
        """Refuse infinities, numbers too small for float32, and text among numbers.

        A column has text among numbers where at least nine in ten cells, of more than a few values, are numbers. Where
        there are few values, such as 0, 1, 2 and "3 or more", they are levels.
        """
        self._refuse_vanishing()
        if not self.textual or len(self.values) <= FEW or self._number_share < _MOST:
            return
        codes, found = self._factors
        odd = np.array([not looks_like_number(str(cell)) for cell in found])
        row = first_where((odd if odd.any() else ~odd)[codes] & (codes >= 0))
        if row is not None:
            raise DataError(
                f"column {self.name!r}, row {row} holds {found[codes[row]]!r} where most cells are numbers: "
                "mend the cell, leave it empty if it is missing, or write all numbers one way"
            )

    def _refuse_vanishing(self) -> None:
        greatest = 1.0 if self.numbers is None or not len(self.numbers) else float(np.abs(self.numbers).max())
        if 0 < greatest < _LEAST:
            raise DataError(f"column {self.name!r} holds no number above {greatest:g}: give it in a smaller unit")


def _whole(value: Level) -> Level:
    return int(value) if isinstance(value, float) and value.is_integer() else value
