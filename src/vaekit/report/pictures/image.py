"""Images, drawn as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vaekit.report.pictures.png import Pixels

LARGEST = 64
"""Pixels of a tile's longer side; larger images are averaged down to it, to keep the page small."""
_SHOWN_AS = {1: [0], 2: [0], 3: [0, 1, 2], 4: [0, 1, 2, 3]}


@dataclass(frozen=True)
class ImagePicture:
    """Draws images `(channel, height, width)`: grey, RGB or RGBA, values clipped to [0, 1].

    Of any other number of channels the first is drawn, as grey.

    >>> ImagePicture().tile(torch.full((1, 2, 2), 0.5))[0, 0].tolist()
    [128, 255]
    """

    thing: ClassVar[str] = "image"
    legend: ClassVar[str] = ""

    @classmethod
    def of(cls, x: Tensor) -> ImagePicture:
        """The way to draw images like those of `x`."""
        return cls()

    def size(self, event_shape: Sequence[int]) -> str:
        """Height by width in pixels, and the channels where they are more than one.

        >>> ImagePicture().size((3, 32, 32))
        '32 × 32 pixels in 3 channels'
        """
        channels, height, width = event_shape
        return f"{height} × {width} pixels{f' in {channels} channels' if channels > 1 else ''}"

    def tile(self, example: Tensor) -> Pixels:
        """An image as grey or RGB pixels, with alpha."""
        shown = example[_SHOWN_AS.get(len(example), [0])].float().nan_to_num()
        values = adaptive_avg_pool2d(shown, _size(shown)).clamp(0, 1).mul(255).round().to(torch.uint8)
        pixels = values.permute(1, 2, 0).numpy()
        return pixels if len(shown) == 4 else _opaque(pixels)


def _size(image: Tensor) -> tuple[int, int]:
    height, width = image.shape[1:]
    shrink = max(1.0, max(height, width) / LARGEST)
    return max(1, round(height / shrink)), max(1, round(width / shrink))


def _opaque(pixels: Pixels) -> Pixels:
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
