"""A picture in the page."""

from __future__ import annotations

from dataclasses import dataclass

from vaekit.report.pictures import data_uri, png
from vaekit.report.pictures.png import Pixels


@dataclass(frozen=True)
class Image:
    """Pixels in the page itself, shown at a whole multiple of their size, and smaller on a narrower screen.

    >>> import numpy as np
    >>> Image.of(np.zeros((30, 100, 2), np.uint8), "nothing", room=720).width
    700
    """

    source: str
    width: int
    height: int
    alt: str

    @staticmethod
    def of(pixels: Pixels, alt: str, room: int) -> Image:
        """The picture, as large as whole multiples go into `room` units of width."""
        height, width = pixels.shape[:2]
        times = max(1, room // width)
        return Image(data_uri(png(pixels)), width * times, height * times, alt)
