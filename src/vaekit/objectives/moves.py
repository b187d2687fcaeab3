"""Moves: what may be done to a row without making another of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from vaekit.common.errors import UsageError


class Moves(Protocol):
    """Moves rows at random, each by a move of its own."""

    def __call__(self, x: Tensor) -> Tensor:
        """Rows `(n, *event)`, moved."""
        ...


@dataclass(frozen=True)
class SmallMoves:
    """An image a little turned, slanted, stretched and shifted: of the same thing still.

    Each move is uniform from minus to plus its most; what comes in at a border is what was at it. Raises `UsageError`
    for one below 0, and for a stretch by 1 or more.

    >>> images = torch.rand(5, 1, 28, 28)
    >>> SmallMoves()(images).shape, torch.allclose(SmallMoves(0, 0, 0, 0)(images), images, atol=1e-4)
    (torch.Size([5, 1, 28, 28]), True)
    """

    turn: float = 0.2
    """In radians."""
    slant: float = 0.3
    """How far the top leans over, as a share of the height."""
    stretch: float = 0.1
    """Of either axis, as a share of it."""
    shift: float = 0.1
    """Along either axis, as a share of half of it."""

    def __post_init__(self) -> None:
        if min(self.turn, self.slant, self.stretch, self.shift) < 0 or self.stretch >= 1:
            raise UsageError(f"{self}: a move is 0 or more, and a stretch below 1")

    def __str__(self) -> str:
        return f"a turn of up to {self.turn} rad, slant {self.slant}, stretch {self.stretch}, shift {self.shift}"

    def __call__(self, x: Tensor) -> Tensor:
        """Images `(n, C, H, W)`, moved."""
        grid = affine_grid(self._maps(x), list(x.shape), align_corners=False)
        return grid_sample(x, grid, padding_mode="border", align_corners=False)

    def _maps(self, x: Tensor) -> Tensor:
        """An affine map for each image, from where a pixel goes to where it is read: `(n, 2, 3)`."""

        def uniform(most: float, *shape: int) -> Tensor:
            return most * (2 * torch.rand(len(x), *shape, dtype=x.dtype, device=x.device) - 1)

        angle, slant = uniform(self.turn), uniform(self.slant)
        cos, sin = angle.cos(), angle.sin()
        turned = torch.stack([cos, cos * slant - sin, sin, sin * slant + cos], 1).unflatten(1, (2, 2))
        stretched = turned * (1 + uniform(self.stretch, 2, 1))
        return torch.cat([stretched, uniform(self.shift, 2, 1)], 2)
