"""A picture in the page."""

from __future__ import annotations

from dataclasses import dataclass

from vaekit.report.pictures import data_uri, png
from vaekit.report.pictures.png import Pixels


@dataclass(frozen=True)
class Image:
    """Pixels in the page itself, `width` and `height` as they are shown where there is room.

    >>> import numpy as np
    >>> Image.of(np.zeros((30, 100, 2), np.uint8), "nothing", times=2).width
    200
    """

    source: str
    width: int
    height: int
    alt: str

    @staticmethod
    def of(pixels: Pixels, alt: str, times: int) -> Image:
        """The picture, shown `times` as large as its pixels."""
        height, width = pixels.shape[:2]
        return Image(data_uri(png(pixels)), width * times, height * times, alt)
