"""Controllers: objectives that hold the rate or the distortion at a target instead of weighing them by hand."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.core.company import SINGLE, Company
from vaekit.core.notation import Formula, Symbol, words_of
from vaekit.core.trace import Batch, Trace
from vaekit.objectives.checks import NeedsDensities
from vaekit.objectives.kl import KL, analytic_kl
from vaekit.objectives.notation import LIKELIHOOD, RATE
from vaekit.objectives.objective import OverBatch, Step, Terms, TraceObjective, terms_of
from vaekit.objectives.schedules import Constant, Schedule, schedule

LIMIT = 10.0
"""How far the logarithm of a multiplier may go from 0."""


class Multiplier(nn.Module):
    r"""A Lagrange multiplier that grows while a constraint is broken and shrinks while there is room.

    .. math:: \log \lambda \leftarrow \log \lambda + \nu \, \mathrm{clip}(\bar C, -1, 1), \qquad
        \bar C \leftarrow \alpha \bar C + (1 - \alpha) C

    with C the mean excess over a batch. What a step teaches holds from the next step on, so that lambda is the same
    whenever it is asked for in one step. It learns in training mode only, where a gradient is asked for.

    Args:
        speed: nu, the largest change of log lambda in a step.
        memory: alpha, of the moving average.

    Source: Rezende and Viola, 2018. Raises `UsageError` for a speed that is not positive, a memory outside [0, 1).

    >>> multiplier = Multiplier(speed=0.5, memory=0.0)
    >>> [round(float(multiplier(torch.tensor([2.0]), torch.tensor(step))), 3) for step in (0, 0, 1, 2)]
    [1.0, 1.0, 1.649, 2.718]
    """

    company: Company = SINGLE
    log_value: Tensor
    average: Tensor
    last_step: Tensor

    def __init__(self, speed: float = 0.01, memory: float = 0.9) -> None:
        super().__init__()
        if not speed > 0:
            raise UsageError(f"a multiplier's speed is {speed}: it must be positive")
        if not 0 <= memory < 1:
            raise UsageError(f"a multiplier's memory is {memory}: choose one from 0 up to, but not, 1")
        self.speed, self.memory = speed, memory
        self.register_buffer("log_value", torch.zeros(()))
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("last_step", torch.full((), -1))

    def forward(self, excess: Tensor, step: Tensor) -> Tensor:
        """lambda, `()`, at this step, where the constraint is exceeded by `(batch,)`."""
        if self.training and torch.is_grad_enabled():
            self._learn(self.company.gathered(excess.detach()).mean().to(self.average.dtype), step)
        return self.log_value.exp()

    def _learn(self, excess: Tensor, step: Tensor) -> None:
        """Take over what the step before has taught, then count this one."""
        is_new, is_first = step != self.last_step, self.last_step < 0
        changed = (self.log_value + self.speed * self.average.clamp(-1, 1)).clamp(-LIMIT, LIMIT)
        averaged = torch.where(is_first, excess, torch.lerp(excess, self.average, self.memory))
        self.log_value.copy_(torch.where(is_new & ~is_first, changed, self.log_value))
        self.average.copy_(torch.where(is_new, averaged, self.average))
        self.last_step.copy_(step)

    def extra_repr(self) -> str:
        return f"speed={self.speed}, memory={self.memory}"


class Controlled(NeedsDensities, TraceObjective):
    """One of rate and distortion is made small, while a multiplier holds the other at its target.

    Args:
        target: in nats per example, a number or a `Schedule`.
        speed, memory: those of the `Multiplier`.
        kl: how the KL is found.

    Source: Rezende and Viola, 2018 (GECO). Raises `UsageError` for a target that is not a finite number.
    """

    def __init__(
        self, target: float | Schedule, speed: float = 0.01, memory: float = 0.9, kl: KL = analytic_kl
    ) -> None:
        super().__init__()
        self.target = schedule(target)
        if isinstance(self.target, Constant) and not abs(self.target.value) < float("inf"):
            raise UsageError(f"a target of {self.target.value} nats: it must be a finite number")
        self.multiplier = Multiplier(speed, memory)
        self.kl = kl

    @abstractmethod
    def roles(self, rate: Tensor, distortion: Tensor) -> tuple[Tensor, Tensor]:
        """What is made small, and what is held at the target."""

    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        kl = {name: self.kl(term) for name, term in trace.latents.items()}
        terms = terms_of(trace, batch, trace.log_lik.mean(0), kl)
        loss, held = self.roles(terms.total_kl, -terms.log_likelihood)
        excess = held - self.target(step.count)
        return replace(terms, value=-loss - self.multiplier(excess, step.count) * excess)

    def extra_repr(self) -> str:
        return f"target={self.target}"

    def stated(self, name: str, gain: str, held: str, what: str) -> Formula:
        """The Lagrangian: what is made large, and what is held at the target."""
        target = Symbol("C", f"target of the {what} in nats: {words_of(self.target)}")
        lam = Symbol("λ", f"multiplier that grows while the {what} is above its target, and falls while it is below")
        return Formula(name, "=", f"{gain} − λ ({held} − C)", symbols=(target, lam))


class TargetDistortion(Controlled):
    r"""The smallest rate at a given distortion, :math:`\min KL` subject to :math:`-E \log p(x \mid z) \le target`.

    >>> TargetDistortion(80.0)
    TargetDistortion(
      target=Constant(value=80.0, steps=1)
      (multiplier): Multiplier(speed=0.01, memory=0.9)
    )
    """

    def roles(self, rate: Tensor, distortion: Tensor) -> tuple[Tensor, Tensor]:
        return rate, distortion

    def formula(self, name: str) -> Formula:
        return self.stated(name, f"−{RATE}", f"−{LIKELIHOOD}", "distortion")


class TargetRate(Controlled):
    r"""The smallest distortion at a given rate, :math:`\max E \log p(x \mid z)` subject to :math:`KL \le target`.

    >>> TargetRate(25.0)
    TargetRate(
      target=Constant(value=25.0, steps=1)
      (multiplier): Multiplier(speed=0.01, memory=0.9)
    )
    """

    def roles(self, rate: Tensor, distortion: Tensor) -> tuple[Tensor, Tensor]:
        return distortion, rate

    def formula(self, name: str) -> Formula:
        return self.stated(name, LIKELIHOOD, RATE, "rate")


class Capacity(OverBatch, NeedsDensities, TraceObjective):
    r"""The distance of the rate from a target is penalised, :math:`E \log p(x \mid z) - \gamma \, |KL - C|`.

    KL is the mean over the batch (over several ranks, each rank's share of it). With a target that grows, latents come
    into use one by one.

    Args:
        target: C in nats, a number or a `Schedule`.
        gamma: weight of the distance.
        kl: how the KL is found.

    Source: Burgess et al., 2018. Raises `UsageError` for a gamma that is not positive.

    >>> Capacity(25.0, gamma=10.0)
    Capacity(target=Constant(value=25.0, steps=1), gamma=10.0)
    """

    def __init__(self, target: float | Schedule, gamma: float = 100.0, kl: KL = analytic_kl) -> None:
        super().__init__()
        if not gamma > 0:
            raise UsageError(f"gamma is {gamma}: it must be positive")
        self.target, self.gamma, self.kl = schedule(target), gamma, kl

    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        kl = {name: self.kl(term) for name, term in trace.latents.items()}
        terms = terms_of(trace, batch, trace.log_lik.mean(0), kl)
        distance = (terms.total_kl.mean() - self.target(step.count)).abs()
        return replace(terms, value=terms.log_likelihood - self.gamma * distance)

    def extra_repr(self) -> str:
        return f"target={self.target}, gamma={self.gamma}"

    def formula(self, name: str) -> Formula:
        target = Symbol("C", f"target of the rate in nats: {words_of(self.target)}")
        return Formula(name, "=", f"{LIKELIHOOD} − {self.gamma:g} |{RATE} − C|", symbols=(target,))
