"""One picture of many examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vaekit.report.figures.image import Image


@dataclass(frozen=True)
class Sheet:
    """One picture, and the words below it."""

    image: Image
    note: str
    template: ClassVar[str] = "sheet.html.j2"
    ROOM: ClassVar[int] = 740
    """Width of a sheet, in units of the page."""
