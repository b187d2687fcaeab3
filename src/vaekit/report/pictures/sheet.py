"""Tiles set side by side, with clear gaps, into one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaekit.report.pictures.png import Pixels

GAP = 2
"""Clear pixels between tiles."""


def line(tiles: Sequence[Pixels], gap: int = GAP) -> Pixels:
    """Tiles of one height from left to right.

    >>> line([np.ones((3, 3, 2), np.uint8)] * 2).shape
    (3, 8, 2)
    """
    return _joined(tiles, gap, axis=1)


def stack(tiles: Sequence[Pixels], gap: int = GAP) -> Pixels:
    """Tiles of one width from top to bottom.

    >>> stack([np.ones((3, 3, 2), np.uint8)] * 2).shape
    (8, 3, 2)
    """
    return _joined(tiles, gap, axis=0)


def grid(tiles: Sequence[Pixels], columns: int, between_lines: int = GAP) -> Pixels:
    """Tiles of one size in lines of so many columns; the last line is filled up with nothing.

    >>> grid([np.ones((3, 3, 2), np.uint8)] * 3, columns=2).shape
    (8, 8, 2)
    """
    columns = min(columns, len(tiles))
    lacking = [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    filled = [*tiles, *lacking]
    lines = [line(filled[start : start + columns]) for start in range(0, len(filled), columns)]
    return stack(lines, between_lines)


def _joined(parts: Sequence[Pixels], gap: int, axis: int) -> Pixels:
    shape = list(parts[0].shape)
    shape[axis] = gap
    clear = np.zeros(shape, np.uint8)
    return np.concatenate([piece for part in parts for piece in (clear, part)][1:], axis)
