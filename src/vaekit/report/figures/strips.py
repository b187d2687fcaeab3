"""Rows of examples, each with its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vaekit.report.figures.image import Image


@dataclass(frozen=True)
class Strip:
    """One row of examples, its label, and what else is known of it."""

    label: str
    detail: str
    image: Image
    ROOM: ClassVar[int] = 680
    """Width of a strip beside its label, in units of the page."""


@dataclass(frozen=True)
class Strips:
    """Rows of examples below each other; `scale` names places along them, evenly from left to right."""

    strips: tuple[Strip, ...]
    scale: tuple[str, ...]
    note: str
    template: ClassVar[str] = "strips.html.j2"

    @property
    def width(self) -> int:
        """The width of the widest row."""
        return max(strip.image.width for strip in self.strips)
