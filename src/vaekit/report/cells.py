"""Cells of a table in words, and which of many columns are shown."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from vaekit.report.figures import Grid, Line
from vaekit.report.words import MINUS

if TYPE_CHECKING:
    from vaekit.data.tables import Column, Schema

MOST = 12
"""Columns that are shown at most."""
LONGEST = 22
"""Characters of a cell that are shown."""
FIGURES = 4
"""Figures of a column's greatest numbers that are shown."""
NUMBERS = ("numeric", "positive", "count", "ordinal")
"""Kinds whose cells stand to the right."""


@dataclass(frozen=True)
class Cells:
    """The columns of a table that are shown, and their cells in words."""

    schema: Schema

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that are shown: the first of those that are modelled."""
        return self.schema.modelled[:MOST]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(_short(column.name) for column in self.columns)

    @property
    def are_numbers(self) -> tuple[bool, ...]:
        """Which of them hold numbers."""
        return tuple(column.kind in NUMBERS and not _of_words(column) for column in self.columns)

    @property
    def note(self) -> str:
        """What is left out, and how to read what is there."""
        every = len(self.schema.modelled)
        some = f"The first {MOST} of {every} columns. " if every > MOST else ""
        return f"{some}A dash stands for a missing cell."

    def lines(self, x: Tensor) -> tuple[Line, ...]:
        """Rows `(n, columns)`, as their schema encodes them, in words."""
        frame = replace(self.schema, library="pandas").decode(x)
        shown = [[in_words(cell, _decimals(column)) for cell in frame[column.name]] for column in self.columns]
        return tuple(Line(cells) for cells in zip(*shown, strict=True))


def in_words(cell: Any, decimals: int | None = None) -> str:
    """A cell in words; a number with so many decimals, or as many as six figures need.

    >>> in_words(-1234.5), in_words(float("nan")), in_words("a town with a very long name")
    ('−1234.5', '–', 'a town with a very lo…')
    """
    if cell is None or cell != cell:
        return Grid.MISSING
    if isinstance(cell, numbers.Real) and not isinstance(cell, bool):
        return (f"{cell:.6g}" if decimals is None else f"{cell:.{decimals}f}").replace("-", MINUS)
    return _short(str(cell).removesuffix(" 00:00:00"))


def _decimals(column: Column) -> int | None:
    """The decimals that a column's numbers are shown with: no more than they have, and than say something."""
    from vaekit.data.tables import Numbers  # loads pandas, which only a table needs

    if not isinstance(column.code, Numbers) or column.code.decimals is None:
        return None
    greatest = max(abs(column.code.low), abs(column.code.high))
    telling = FIGURES - 1 - math.floor(math.log10(greatest)) if 0 < greatest < math.inf else FIGURES
    return max(0, min(column.code.decimals, telling))


def _short(words: str) -> str:
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"


def _of_words(column: Column) -> bool:
    return any(isinstance(level, str) for level in column.levels)


def beside(lines: Sequence[Line], more: Sequence[str]) -> tuple[Line, ...]:
    """Lines with a cell before each."""
    return tuple(replace(line, cells=(cell, *line.cells)) for line, cell in zip(lines, more, strict=True))
