"""Ranges: how learned inputs are kept where data can be."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Size, Tensor
from torch.distributions.constraints import Constraint


class Range(ABC):
    """A smooth map from any number onto a range of values, and back."""

    @abstractmethod
    def inside(self, raw: Tensor) -> Tensor:
        """The value in the range that a number stands for."""

    @abstractmethod
    def raw(self, value: Tensor) -> Tensor:
        """The number that stands for a value; one at the edge of the range is moved in, where it can learn."""


class Anything(Range):
    """All real numbers."""

    def inside(self, raw: Tensor) -> Tensor:
        return raw

    def raw(self, value: Tensor) -> Tensor:
        return value


class NonNegative(Range):
    """Numbers above 0, by softplus."""

    def inside(self, raw: Tensor) -> Tensor:
        return torch.nn.functional.softplus(raw)

    def raw(self, value: Tensor) -> Tensor:
        value = value.clamp(min=EDGE)
        return value + torch.log(-torch.expm1(-value))


class UnitInterval(Range):
    """Numbers between 0 and 1, by the logistic function."""

    def inside(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()

    def raw(self, value: Tensor) -> Tensor:
        return value.logit(EDGE)


EDGE = 0.05


def range_of(support: Constraint | None, event_shape: Size) -> Range:
    """The range that holds the values of a support: found by asking it for values below 0 and above 1.

    >>> from torch.distributions import constraints
    >>> type(range_of(constraints.boolean, Size((2,)))).__name__
    'UnitInterval'
    """
    if support is None or _holds(support, event_shape, -1.0, -0.5):
        return Anything()
    return NonNegative() if _holds(support, event_shape, 1.5, 2.0) else UnitInterval()


def _holds(support: Constraint, event_shape: Size, *values: float) -> bool:
    return any(bool(support.check(torch.full((1, *event_shape), value)).any()) for value in values)
