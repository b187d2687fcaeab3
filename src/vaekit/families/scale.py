"""Scales: where the positive number beside a location comes from: a standard deviation, a shape, a concentration."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Size, Tensor, nn
from torch.nn.functional import softplus

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD
from vaekit.core.notation import at

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
    """Reads a location and a positive number from the parameters of a family."""

    blocks: int
    """How many blocks of the event's size the parameters have."""
    value: float | None = None
    """The number, where it is known beforehand."""
    shared: bool = False
    """Whether it is one number for all coordinates."""

    @abstractmethod
    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale, from `(sample, batch, blocks * C, ...)`."""

    def named(self, symbol: str, reads: str) -> str:
        """The number in a formula: a function of what the net reads, a learned symbol, or the number itself.

        >>> Predicted().named("σ", "x"), Learned().named("σ", "x"), Known(0.1).named("σ", "x")
        ('σ(x)', 'σ', '0.1')
        """
        return at(symbol, reads if self.blocks > 1 else "") if self.value is None else f"{self.value:g}"


class Predicted(Scale):
    """The net gives a number for each coordinate of each example."""

    blocks = 2

    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        loc, raw = params.chunk(2, dim=LEAD)
        return loc, positive(raw)


class Learned(Scale):
    """A learned number: one for all coordinates, or one for each of an event of the given shape.

    A normal with one shared scale makes the sigma-VAE (Rybkin, Daniilidis and Levine, 2021). Raises `UsageError` for
    an initial value that is not above 1e-6.
    """

    blocks = 1

    def __init__(self, event_shape: Size | tuple[int, ...] = (), initial: float = 1.0) -> None:
        super().__init__()
        if not initial > SMALLEST:
            raise UsageError(f"Learned(initial={initial}): the initial value must be above {SMALLEST}")
        self.raw = nn.Parameter(unpositive(torch.full(tuple(event_shape), initial)))
        self.shared = not event_shape

    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params, positive(self.raw).expand_as(params)


class Known(Scale):
    """A number that is known beforehand.

    Raises `UsageError` for one that is not positive.
    """

    blocks = 1
    shared = True
    value: float

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        if not value > 0:
            raise UsageError(f"Known({value}): the value must be positive")
        self.value = value

    def forward(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params, torch.full_like(params, self.value)

    def extra_repr(self) -> str:
        return str(self.value)
