"""Supports that torch has no constraint for. Each says in words which values it holds."""

from __future__ import annotations

from torch import Tensor
from torch.distributions.constraints import Constraint

LEVELS = 256
BRIGHTEST = LEVELS - 1
_ROUNDING = 1e-3


def level_of(grey: Tensor) -> Tensor:
    """The level 0..255 of a grey k/255."""
    return (grey * BRIGHTEST).round()


class Greys(Constraint):
    """The 256 greys k / 255 of 8-bit values.

    >>> import torch
    >>> Greys().check(torch.tensor([0.0, 127 / 255, 0.5, 300 / 255]))
    tensor([ True,  True, False, False])
    """

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        level = level_of(value)
        near: Tensor = (value * BRIGHTEST - level).abs() < _ROUNDING
        return near & (level >= 0) & (level <= BRIGHTEST)

    def __repr__(self) -> str:
        return "8-bit greys k/255, k = 0..255"


class OpenInterval(Constraint):
    """Numbers strictly between two others.

    >>> import torch
    >>> OpenInterval(0.0, 1.0).check(torch.tensor([0.0, 0.5, 1.0]))
    tensor([False,  True, False])
    """

    def __init__(self, low: float, high: float) -> None:
        self.lower_bound, self.upper_bound = low, high
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        return (self.lower_bound < value) & (value < self.upper_bound)

    def __repr__(self) -> str:
        return f"numbers strictly between {self.lower_bound:g} and {self.upper_bound:g}"


class WholeUpTo(Constraint):
    """Whole numbers from 0 to a limit, one for all coordinates or one for each, wherever the values are.

    >>> import torch
    >>> WholeUpTo(torch.tensor(3.0)).check(torch.tensor([0.0, 1.5, 3.0, 4.0]))
    tensor([ True, False,  True, False])
    """

    is_discrete = True

    def __init__(self, limit: Tensor) -> None:
        self.limit = limit
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & (value >= 0) & (value <= self.limit.to(value.device))

    def __repr__(self) -> str:
        return f"whole numbers from 0 to {self.limit.max():g}"


class OneHotAlong(Constraint):
    """A single 1 among 0s along one axis, counted from the last (-1). Every value of a wrong vector is marked.

    >>> import torch
    >>> OneHotAlong(-1).check(torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.5, 0.5]]))
    tensor([[ True,  True],
            [False, False],
            [False, False]])
    """

    is_discrete = True

    def __init__(self, axis: int) -> None:
        self.axis = axis
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        binary = ((value == 0) | (value == 1)).all(self.axis, keepdim=True)
        single: Tensor = value.sum(self.axis, keepdim=True) == 1
        return (binary & single).expand_as(value)

    def __repr__(self) -> str:
        return f"a single 1 among 0s along axis {self.axis}"
