"""Rows that are no images, drawn as small bar charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaekit.report.pictures.png import Pixels
from vaekit.report.words import count

HEIGHT, WIDTH, MARGIN = 36, 52, 3
"""Pixels of the bars together, less where they do not divide it evenly, and clear pixels on either side of them."""
_COLOURS: Pixels = np.array([[128, 136, 150, 36], [94, 124, 214, 255]], np.uint8)
"""The ground and the bars, in colours that read on light paper and on dark."""


@dataclass(frozen=True)
class VectorPicture:
    """Draws rows `(dimension,)`, each value as a bar between the least and the greatest of its column.

    Of rows with more values than fit, neighbours are averaged; other shapes are flattened.

    >>> picture = VectorPicture.of(torch.tensor([[0.0, 0.0], [1.0, 4.0]]))
    >>> filled = picture.tile(torch.tensor([1.0, 2.0]))[:, MARGIN:-MARGIN, 3] == 255
    >>> float(filled[:, 0].mean()), float(filled[:, -1].mean())
    (1.0, 0.5)
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    thing: ClassVar[str] = "row"
    legend: ClassVar[str] = (
        "Each little chart is one row, each of its bars one value, from the least to the greatest among these rows."
    )

    @classmethod
    def of(cls, x: Tensor) -> VectorPicture:
        """The way to draw rows like those of `x`, on the scale that `x` sets."""
        values = torch.nan_to_num(x.flatten(1).double()).cpu().numpy()
        return cls(values.min(0), values.max(0))

    def size(self, event_shape: Sequence[int]) -> str:
        """How many values.

        >>> VectorPicture.of(torch.eye(3)).size((3,))
        '3 values'
        """
        return count(math.prod(event_shape), "value")

    def tile(self, example: Tensor) -> Pixels:
        """A row as RGBA pixels."""
        heights = _merged(self._share(example.flatten().double().numpy()))
        bar = max(1, WIDTH // len(heights))
        filled = _filled(np.repeat(heights, bar))
        if bar > 3:
            filled[:, bar - 1 : -1 : bar] = False
        return np.pad(_COLOURS[filled.astype(np.intp)], ((0, 0), (MARGIN, MARGIN), (0, 0)))

    def _share(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where each value lies in its column, 0 at the least and 1 at the greatest; missing ones at 0."""
        span = np.where(self.high > self.low, self.high - self.low, 1.0)
        return np.nan_to_num((values - self.low) / span).clip(0, 1)


def _merged(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = np.array_split(shares, min(len(shares), WIDTH))
    return np.array([part.mean() for part in parts])


def _filled(heights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pixels a bar covers, `(height, width)`; the bottom line always, so that a bar of 0 is seen."""
    from_below = np.arange(HEIGHT, 0, -1)[:, None]
    return from_below <= np.maximum(1, np.rint(heights * HEIGHT))
