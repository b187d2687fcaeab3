"""How one example is drawn, by its shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from torch import Tensor

from vaekit.report.pictures.image import ImagePicture
from vaekit.report.pictures.png import Pixels
from vaekit.report.pictures.vector import VectorPicture


class Picture(Protocol):
    """Draws examples of one shape, each as a tile of the same size, and has words for them."""

    thing: ClassVar[str]
    """What one example is called."""
    legend: ClassVar[str]
    """How to read a tile; empty where that needs no words."""

    def size(self, event_shape: Sequence[int]) -> str:
        """How large one example is, in words."""
        ...

    def tile(self, example: Tensor) -> Pixels:
        """An example `(*event)` as `(height, width, channel)`, the last channel alpha."""
        ...


_BY_AXES: dict[int, Callable[[Tensor], Picture]] = {3: ImagePicture.of}


def picture_for(x: Tensor) -> Picture:
    """The way to draw examples like those of `x` `(n, *event)`: images have three axes, all else is drawn as a vector.

    >>> import torch
    >>> picture_for(torch.zeros(5, 1, 8, 8)).thing, picture_for(torch.zeros(5, 3)).thing
    ('image', 'row')
    """
    return _BY_AXES.get(x.dim() - 1, VectorPicture.of)(x)
