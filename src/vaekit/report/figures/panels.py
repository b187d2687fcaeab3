"""Small charts side by side, with one key to their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Key:
    """How a line is drawn, a class of the style sheet, and what it shows."""

    style: str
    words: str


@dataclass(frozen=True)
class Panel:
    """One chart, its title, and the number to take from it."""

    title: str
    number: str
    chart: Markup
    detail: str = ""
    """What else is known, below the title."""


@dataclass(frozen=True)
class Panels:
    """Charts side by side, one below the other on a phone."""

    panels: tuple[Panel, ...]
    keys: tuple[Key, ...]
    template: ClassVar[str] = "panels.html.j2"
