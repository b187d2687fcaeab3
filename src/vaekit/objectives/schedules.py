"""Schedules: a weight or a learning rate as a function of the optimiser's step, computed as a tensor."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core.notation import words_of


class Schedule(ABC):
    """A number for every step. It is a tensor of the step's tensor, so that a captured step can hold it.

    >>> warm_up = Linear(0.0, 1.0, steps=10).then(Cosine(1.0, 0.0, steps=90))
    >>> [round(float(warm_up(torch.tensor(step))), 3) for step in (0, 5, 10, 55, 100, 200)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    """

    steps: int
    """How many steps until it stays where it is."""

    @abstractmethod
    def __call__(self, step: Tensor) -> Tensor:
        """The value at this step, a scalar tensor."""

    def then(self, after: Schedule) -> Schedule:
        """This schedule, then another that counts its own steps from where this one ends."""
        return Sequence(self, after)


def _progress(step: Tensor, steps: int) -> Tensor:
    return (step / steps).clamp(max=1.0)


def _require_steps(steps: int) -> None:
    if steps < 1:
        raise UsageError(f"a schedule of {steps} steps: it needs at least 1")


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value at every step."""

    value: float
    steps: int = 1

    def __call__(self, step: Tensor) -> Tensor:
        return torch.full_like(step, self.value, dtype=torch.get_default_dtype())

    @property
    def words(self) -> str:
        """The number."""
        return f"{self.value:g}"


@dataclass(frozen=True)
class Way(Schedule):
    """From a start to an end in so many steps. Raises `UsageError` for less than one."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _require_steps(self.steps)


@dataclass(frozen=True)
class Linear(Way):
    """From start to end in a straight line, then staying at the end."""

    def __call__(self, step: Tensor) -> Tensor:
        return self.start + (self.end - self.start) * _progress(step, self.steps)

    @property
    def words(self) -> str:
        """Where it goes, and in how many steps."""
        return f"{self.start:g} to {self.end:g} in {self.steps:,} steps"


@dataclass(frozen=True)
class Cosine(Way):
    """From start to end along half a cosine, then staying at the end."""

    def __call__(self, step: Tensor) -> Tensor:
        return self.end + (self.start - self.end) * (1 + torch.cos(math.pi * _progress(step, self.steps))) / 2

    @property
    def words(self) -> str:
        """Where it goes, and in how many steps."""
        return f"{self.start:g} to {self.end:g} along half a cosine in {self.steps:,} steps"


@dataclass(frozen=True)
class Cyclical(Schedule):
    """Again and again from start to end: a linear ramp for a part of each period, then the end for its rest.

    Source: Fu et al., 2019.
    """

    start: float
    end: float
    steps: int
    """The length of one period."""
    ramp: float = 0.5

    def __post_init__(self) -> None:
        _require_steps(self.steps)
        if not 0 < self.ramp <= 1:
            raise UsageError(f"a cyclical schedule that ramps for {self.ramp} of its period: choose within (0, 1]")

    def __call__(self, step: Tensor) -> Tensor:
        within = torch.remainder(step, self.steps) / self.steps
        return self.start + (self.end - self.start) * (within / self.ramp).clamp(max=1.0)

    @property
    def words(self) -> str:
        """Where it goes, and how often."""
        return f"{self.start:g} to {self.end:g} again and again, every {self.steps:,} steps"


@dataclass(frozen=True)
class Sequence(Schedule):
    """One schedule, then another."""

    first: Schedule
    second: Schedule

    @property
    def steps(self) -> int:  # type: ignore[override]
        """The steps of both together."""
        return self.first.steps + self.second.steps

    def __call__(self, step: Tensor) -> Tensor:
        later = self.second((step - self.first.steps).clamp(min=0))
        return torch.where(step < self.first.steps, self.first(step), later)

    @property
    def words(self) -> str:
        """One, then the other."""
        return f"{words_of(self.first)}, then {words_of(self.second)}"


def schedule(value: float | Schedule) -> Schedule:
    """A schedule as it is, or a number as a constant one."""
    return value if isinstance(value, Schedule) else Constant(float(value))


def falling(rate: float, updates: int, warm_up: int | None = None) -> Schedule:
    """A learning rate for a run of so many updates: a rise from a tenth, then half a cosine down to a hundredth.

    The rise takes a fiftieth of the updates unless told; a run that is shorter than its rise never falls. Source:
    Loshchilov and Hutter, 2017 (without restarts).

    >>> import torch
    >>> [round(float(falling(1.0, 100)(torch.tensor(step))), 2) for step in (0, 2, 51, 100)]
    [0.1, 1.0, 0.5, 0.01]
    >>> [round(float(falling(1.0, 100, warm_up=20)(torch.tensor(step))), 2) for step in (0, 20, 60, 100)]
    [0.1, 1.0, 0.5, 0.01]
    """
    warm = max(1, updates // 50) if warm_up is None else warm_up
    return Linear(rate / 10, rate, warm).then(Cosine(rate, rate / 100, max(1, updates - warm)))
