"""Scales: where the spread of a normal comes from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Size, Tensor, nn
from torch.nn.functional import softplus

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD

SMALLEST = 1e-6
_SHIFT = math.log(math.expm1(1.0 - SMALLEST))


def positive(raw: Tensor) -> Tensor:
    """A positive number from any number: softplus, shifted so that 0 gives 1, with a floor of 1e-6.

    >>> round(float(positive(torch.zeros(()))), 6)
    1.0
    """
    return softplus(raw + _SHIFT) + SMALLEST


def unpositive(value: Tensor) -> Tensor:
    """The number that `positive` maps to `value`."""
    above = value - SMALLEST
    return above + torch.log(-torch.expm1(-above)) - _SHIFT


class Scale(nn.Module, ABC):
    """Reads a location and a scale from the parameters of a normal."""

    blocks: int
    """How many blocks of the event's size the parameters have."""

    @abstractmethod
    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale, from `(sample, batch, blocks * C, ...)`."""


class Predicted(Scale):
    """The net gives a scale for each coordinate of each example."""

    blocks = 2

    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        loc, raw = params.chunk(2, dim=LEAD)
        return loc, positive(raw)


class Learned(Scale):
    """A learned scale: one for all coordinates, or one for each of an event of the given shape.

    With one shared scale this is the sigma-VAE (Rybkin, Daniilidis and Levine, 2021). Raises `UsageError` for an
    initial scale that is not above 1e-6.
    """

    blocks = 1

    def __init__(self, event_shape: Size | tuple[int, ...] = (), initial: float = 1.0) -> None:
        super().__init__()
        if not initial > SMALLEST:
            raise UsageError(f"the initial scale of a normal is {initial}: it must be above {SMALLEST}")
        self.raw = nn.Parameter(unpositive(torch.full(tuple(event_shape), initial)))

    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params, positive(self.raw).expand_as(params)


class Known(Scale):
    """A scale that is known beforehand.

    Raises `UsageError` for a scale that is not positive.
    """

    blocks = 1

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        if not value > 0:
            raise UsageError(f"the scale of a normal is {value}: it must be positive")
        self.value = value

    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params, torch.full_like(params, self.value)

    def extra_repr(self) -> str:
        return str(self.value)
