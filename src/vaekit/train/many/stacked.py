"""Updates of many models at once: paces, clipping and averaging, each as for one model alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from vaekit.core import Batch
from vaekit.objectives import Schedule, Step
from vaekit.objectives.schedules import schedule
from vaekit.train.many.alike import NotTogether
from vaekit.train.many.stack import Stack, Values
from vaekit.train.settings import Settings
from vaekit.train.steps.eager import eager

TORCHS: Final = (torch.optim.Adam, torch.optim.AdamW, torch.optim.Adamax, torch.optim.SGD)
ELEMENTWISE: Final = (*TORCHS, *map(eager, TORCHS))
"""Optimisers that move each weight by itself, by a step in proportion to the learning rate."""


class Pace(Protocol):
    """How far an optimiser goes in a step."""

    def move(self, optimizer: Optimizer, step: Step, done: int) -> None:
        """One step of the optimiser."""


@dataclass(frozen=True)
class CommonPace:
    """One learning rate for all."""

    rate: Schedule

    def move(self, optimizer: Optimizer, step: Step, done: int) -> None:
        """One step at the rate of now."""
        for group in optimizer.param_groups:
            group["lr"] = float(self.rate(torch.tensor(done)))
        optimizer.step()


@dataclass(frozen=True)
class OwnPace:
    """A learning rate for each member: each goes its part of the way that the optimiser goes at a rate of 1."""

    rates: Sequence[Schedule]

    def move(self, optimizer: Optimizer, step: Step, done: int) -> None:
        """One step at the rates of now."""
        weights = [weight.detach() for group in optimizer.param_groups for weight in group["params"]]
        before = [weight.clone() for weight in weights]
        optimizer.step()
        rates = torch.stack([rate(step.count) for rate in self.rates])
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(torch.lerp(old, weight, over_members(rates, weight).to(weight.dtype)))


def over_members(values: Tensor, like: Tensor) -> Tensor:
    """A value for each member `(member,)`, to be broadcast against `(member, *shape)`."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def clip_each(gradients: Sequence[Tensor], longest: float) -> None:
    """Scale each member's gradient, over all its weights, down to a norm."""
    norms = torch.stack([torch.linalg.vector_norm(each.reshape(len(each), -1), dim=1) for each in gradients])
    scale = (longest / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(over_members(scale, gradient))


class StackedUpdates:
    """Updates of all members at once: paces, clipping and averaging, each as for one model alone."""

    def __init__(self, stack: Stack, settings: Sequence[Settings], device: torch.device) -> None:
        self.stack, self.settings = stack, settings[0]
        self.done, self.step = 0, Step.first(device)
        self.rates = [schedule(each.learning_rate) for each in settings]
        common = all(rate == self.rates[0] for rate in self.rates)
        self.pace: Pace = CommonPace(self.rates[0]) if common else OwnPace(self.rates)
        rate = self.learning_rates[0] if common else 1.0
        self.weights = list(stack.learned.values())
        self.optimizer = self.settings.make_optimizer(self.weights, rate)
        self.average: Values | None = None
        if type(self.optimizer) not in ELEMENTWISE:
            raise NotTogether(f"{type(self.optimizer).__name__} may not move each weight by itself")

    @property
    def learning_rates(self) -> list[float]:
        """The learning rate of the next update of each member."""
        return [float(rate(torch.tensor(self.done))) for rate in self.rates]

    @property
    def evaluated(self) -> Values:
        """The values that are evaluated and kept: the average, where there is one."""
        return self.stack.values if self.average is None else self.average

    def update(self, batch: Batch) -> Tensor:
        """One step of every member towards a larger mean of its objective; the mean terms, `(member, terms)`."""
        gradient, terms = self.stack.gradient(batch, self.step)
        if self.settings.clip is not None:
            clip_each(list(gradient.values()), self.settings.clip)
        for name, weight in self.stack.learned.items():
            weight.grad = gradient[name]
        self.pace.move(self.optimizer, self.step, self.done)
        if self.settings.ema is not None:
            self._average(self.settings.ema)
        self.done += 1
        self.step.count.add_(1)
        return terms

    def _average(self, decay: float) -> None:
        """a <- decay a + (1 - decay) w, from the weights after the first update on; whole numbers are taken over."""
        if self.average is None:
            self.average = {name: value.clone() for name, value in self.stack.values.items()}
        for name, value in self.stack.values.items():
            own = self.average[name]
            own.lerp_(value, 1 - decay) if own.is_floating_point() else own.copy_(value)
