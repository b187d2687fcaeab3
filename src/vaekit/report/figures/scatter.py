"""Points in a plane, with a key to their colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Swatch:
    """A colour, as the page writes it, and what has it."""

    colour: str
    words: str


@dataclass(frozen=True)
class Scatter:
    """A chart of points and the words below it."""

    chart: Markup
    swatches: tuple[Swatch, ...]
    note: str
    template: ClassVar[str] = "scatter.html.j2"
