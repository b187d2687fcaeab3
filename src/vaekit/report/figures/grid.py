"""Rows of a table, below each other, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Line:
    """One row: a cell for each column, in words; `faint` where it only goes with the one above."""

    cells: tuple[str, ...]
    faint: bool = False


@dataclass(frozen=True)
class Group:
    """Rows that belong together, and what they are; nothing where that is plain."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Grid:
    """A table of rows under the names of its columns; it scrolls sideways where it has no room."""

    columns: tuple[str, ...]
    numbers: tuple[bool, ...]
    """Which columns hold numbers, and stand to the right."""
    groups: tuple[Group, ...]
    note: str
    template: ClassVar[str] = "grid.html.j2"
    MISSING: ClassVar[str] = "–"
    """What stands where a cell is missing."""

    def aligned(self, cells: Sequence[str]) -> list[tuple[str, str]]:
        """Each cell with the style that it has.

        >>> Grid(("age", "town"), (True, False), (), "").aligned(["31", Grid.MISSING])
        [('31', 'figure'), ('–', ' missing')]
        """
        styles = ["figure" if number else "" for number in self.numbers]
        return [
            (cell, f"{style} missing" if cell == self.MISSING else style)
            for cell, style in zip(cells, styles, strict=True)
        ]
