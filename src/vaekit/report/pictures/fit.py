"""How many tiles go beside each other, and how much larger than their pixels they are shown."""

from __future__ import annotations

from dataclasses import dataclass

from vaekit.report.pictures.png import Pixels
from vaekit.report.pictures.sheet import GAP

SIZE = 56
"""Units of the page that the longer side of a tile should have."""
MOST = 16
"""Tiles beside each other, at most: more would be too small to see on a phone."""


@dataclass(frozen=True)
class Fit:
    """Tiles of one width in pixels, shown at a whole multiple of their size.

    >>> Fit(28, 2).across(740), Fit(32, 2).across(740)
    (12, 10)
    """

    width: int
    times: int

    @staticmethod
    def of(tile: Pixels) -> Fit:
        """The fit of tiles like this one."""
        return Fit(tile.shape[1], max(1, round(SIZE / max(tile.shape[:2]))))

    def across(self, room: int) -> int:
        """How many go beside each other into `room` units of the page."""
        return max(3, min(MOST, room // (self.times * (self.width + GAP))))

    def steps(self, room: int, most: int) -> int:
        """An odd number that goes beside each other, so that one is in the middle."""
        fitting = min(most, self.across(room))
        return fitting - 1 + fitting % 2
