"""Images drawn from known factors, when they are asked for: none of them is stored."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded

_CHUNK = 128
"""Images drawn at once: so few that what they are drawn of stays in a processor's cache."""


class FactorImages(ABC):
    """Every image that a few factors can make, as bytes.

    An image is named by its factors, whole numbers from 0 on, in the order of `names`.
    """

    names: ClassVar[tuple[str, ...]]
    """The factors."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """How many values each factor has."""

    @abstractmethod
    def drawn(self, factors: Tensor) -> Tensor:
        """The images of factors that are known to be in range, `(n, channels, side, side)` bytes."""

    def __len__(self) -> int:
        return math.prod(self.sizes)

    def factors(self, index: Tensor) -> Tensor:
        """The factors `(n, f)` of images by their number `(n,)`, the last factor counting fastest."""
        return torch.stack(torch.unravel_index(index, self.sizes), dim=1)

    def draw(self, n: int) -> Tensor:
        """The factors `(n, f)` of images drawn at random, with replacement, from torch's current generator."""
        return self.factors(torch.randint(len(self), (n,)))

    def agreeing(self, factor: int, groups: int, size: int) -> Tensor:
        """Groups of images alike in one factor, which and the rest are drawn at random: `(groups, size, C, H, W)`."""
        factors = self.draw(groups * size).unflatten(0, (groups, size))
        factors[:, :, factor] = factors[:, :1, factor]
        images = self.render(factors.flatten(0, 1))
        return images.reshape(groups, size, *images.shape[1:])

    def apart(self, *counts: int) -> list[Tensor]:
        """The factors of sets of so many images, drawn at random and always the same, no two alike."""
        with seeded(0):
            index = torch.randperm(len(self))[: sum(counts)]
        return list(self.factors(index).split(list(counts)))

    def render(self, factors: Tensor) -> Tensor:
        """Images by their factors `(n, f)`, in bytes.

        Raises `UsageError` for factors that are no whole numbers in range.
        """
        self._check(factors)
        return torch.cat([self.drawn(part) for part in factors.split(_CHUNK)])

    def _check(self, factors: Tensor) -> None:
        wanted = len(self.sizes)
        if factors.dim() != 2 or factors.shape[1] != wanted or factors.is_floating_point():
            words = f"factors {factors.dtype} of shape {tuple(factors.shape)}"
            raise UsageError(f"{words}: give whole numbers (n, {wanted})")
        wrong = ((factors < 0) | (factors >= factors.new_tensor(self.sizes))).nonzero()
        if len(wrong):
            row, column = wrong[0].tolist()
            value = int(factors[row, column])
            raise UsageError(f"{self.names[column]} of row {row} is {value}: choose below {self.sizes[column]}, from 0")


def require_at_least(what: str, **sizes: tuple[int, int]) -> None:
    """Refuse sizes, each given with the fewest that will do."""
    for name, (value, fewest) in sizes.items():
        if value < fewest:
            raise UsageError(f"{what} with {name} of {value}: choose at least {fewest}")
