"""Pictures with a number below each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vaekit.report.figures.image import Image


@dataclass(frozen=True)
class Plate:
    """A picture, its number, and what else is known of it, a line each."""

    image: Image
    number: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class Plates:
    """Pictures that each carry a number."""

    plates: tuple[Plate, ...]
    note: str
    template: ClassVar[str] = "plates.html.j2"
