"""Sprites: small white shapes on black, of known shape, scale, angle and position, drawn when they are asked for.

The factors are those of dSprites (Matthey, Higgins, Hassabis and Lerchner, 2017); the images are vaekit's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaekit.data.dataset import Dataset, Splits
from vaekit.data.factors import FactorImages, require_at_least

REACH = 0.225
"""The radius of the disc that the largest sprite fits in, in units of the image's side: at 64 pixels, the edges of
sprites that are one scale apart are then a pixel apart or more, and so are places that are next to each other."""
TRAINING_ROWS, TEST_ROWS = 20_000, 2_000


def square(x: Tensor, y: Tensor) -> Tensor:
    """Whether points are in the square that the unit disc circumscribes."""
    return torch.maximum(x.abs(), y.abs()) <= math.sqrt(0.5)


def ellipse(x: Tensor, y: Tensor) -> Tensor:
    """Whether points are in the ellipse of half axes 1 and 0.5."""
    return x**2 + (2 * y) ** 2 <= 1


def heart(x: Tensor, y: Tensor) -> Tensor:
    """Whether points are in a heart within the unit disc, tip down: (x^2 + y^2 - 1)^3 <= x^2 y^3, made smaller."""
    across, up = (1.43 * x).square(), -1.43 * y
    high = up.square()
    beyond = across + high - 1
    return beyond * beyond * beyond <= across * high * up


SHAPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"square": square, "ellipse": ellipse, "heart": heart}
"""The shapes in the order of their factor; each says which points (x to the right, y down) are inside."""


@dataclass(frozen=True)
class Sprites(FactorImages):
    """All sprites: 3 shapes, 6 scales, so many angles of a full turn, and so many places across and down.

    A sprite is named by its factors, five whole numbers from 0 on, in the order of `names`. None is stored: each is
    drawn when asked for, one bit a pixel. A square looks alike at every quarter of a turn, an ellipse at every half.

    Raises `UsageError` for a size out of range.

    >>> sprites = Sprites()
    >>> sprites.sizes, len(sprites)
    ((3, 6, 40, 32, 32), 737280)
    >>> sprites.render(torch.tensor([[0, 5, 0, 16, 16]])).shape
    torch.Size([1, 1, 64, 64])
    >>> sprites.factors(torch.tensor([0, 33]))
    tensor([[0, 0, 0, 0, 0],
            [0, 0, 0, 1, 1]])
    >>> sprites.agreeing(factor=0, groups=3, size=2).shape
    torch.Size([3, 2, 1, 64, 64])
    """

    names: ClassVar[tuple[str, ...]] = ("shape", "scale", "angle", "x", "y")
    scales: ClassVar[int] = 6

    side: int = 64
    """Pixels across and down."""
    angles: int = 40
    positions: int = 32

    def __post_init__(self) -> None:
        require_at_least("sprites", side=(self.side, 8), angles=(self.angles, 1), positions=(self.positions, 1))

    @property
    def sizes(self) -> tuple[int, ...]:
        return (len(SHAPES), self.scales, self.angles, self.positions, self.positions)

    def drawn(self, factors: Tensor) -> Tensor:
        image = torch.empty(len(factors), 1, self.side, self.side, dtype=torch.uint8, device=factors.device)
        for index, shape in enumerate(SHAPES.values()):
            rows = factors[:, 0] == index
            image[rows, 0] = shape(*self._own_coordinates(factors[rows])).to(torch.uint8) * 255
        return image

    def _own_coordinates(self, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Where each pixel's centre is in each sprite's own coordinates, in which it fits in the unit disc."""
        _, scale, angle, across, down = (column.float()[:, None, None] for column in factors.T)
        centres = (torch.arange(self.side, device=factors.device) + 0.5) / self.side
        radius = REACH * (0.5 + 0.5 * scale / (self.scales - 1))
        x = (centres - self._place(across)) / radius
        y = (centres[:, None] - self._place(down)) / radius
        turn = 2 * math.pi * angle / self.angles
        return turn.cos() * x + turn.sin() * y, turn.cos() * y - turn.sin() * x

    def _place(self, position: Tensor) -> Tensor:
        """Where the middle of a sprite is: all of it stays in the image."""
        return REACH + (1 - 2 * REACH) * position / max(1, self.positions - 1)


def sprite_factors() -> tuple[Tensor, Tensor]:
    """The factors of the rows of `load_sprites`: `(20000, 5)` to train on, `(2000, 5)` to test on, no two alike."""
    train, test = Sprites().apart(TRAINING_ROWS, TEST_ROWS)
    return train, test


def load_sprites() -> Splits:
    """20,000 and 2,000 of all sprites, drawn at random and always the same; labels are their shapes.

    Their factors are `sprite_factors()`.

    >>> load_sprites().test
    Dataset(sprites test: 2000 images of 1 x 64 x 64, uint8, labelled)
    """
    train, test = (
        Dataset(Sprites().render(factors), factors[:, 0].clone(), f"sprites {name}")
        for name, factors in zip(("train", "test"), sprite_factors(), strict=True)
    )
    return Splits(train, test, name="sprites", source="sprites", licence="Apache-2.0")
