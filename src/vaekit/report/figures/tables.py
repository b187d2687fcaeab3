"""Names and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Row:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True)
class Table:
    """Names and values that belong together."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Tables:
    """Several tables."""

    tables: tuple[Table, ...]
    template: ClassVar[str] = "tables.html.j2"
