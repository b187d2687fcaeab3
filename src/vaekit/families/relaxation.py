"""How discrete values become soft: noise, a temperature, and a map to soft values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid

from vaekit.common.errors import UsageError
from vaekit.core.family import Family
from vaekit.core.notation import words_of
from vaekit.families.bernoulli import Bernoulli
from vaekit.families.categorical import OneHot
from vaekit.families.supports import OpenInterval


class Temperature(nn.Module):
    """How soft draws are: a number, or a schedule over the steps of training, which it counts itself.

    A step is a call in training mode with a gradient; the count is saved with the model, so that a loaded model is as
    soft as it was. Raises `UsageError` for a number that is not positive.

    >>> temperature = Temperature(lambda step: 1 / (1 + step))
    >>> [float(temperature()) for _ in range(3)], float(temperature.eval()())
    ([1.0, 0.5, 0.333...], 0.25)
    """

    steps: Tensor

    def __init__(self, value: float | Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        if not all(end > 0 for end in _ends(value)):
            raise UsageError(f"a temperature of {words_of(value)}: it must be positive")
        self.value = value
        self.register_buffer("steps", torch.zeros(()))

    def forward(self) -> Tensor:
        """The temperature now."""
        if not callable(self.value):
            return torch.full_like(self.steps, self.value)
        now = self.value(self.steps.clone())
        if self.training and torch.is_grad_enabled():
            self.steps.add_(1)
        return now

    @property
    def words(self) -> str:
        """What it is, or how it changes."""
        return f"temperature {words_of(self.value)}"

    @property
    def learns_when_run(self) -> bool:
        """Whether it is another one at the next step."""
        return callable(self.value)

    def extra_repr(self) -> str:
        return str(self.value)


def _ends(value: float | Callable[[Tensor], Tensor]) -> list[float]:
    """A number, or a schedule's first and last."""
    steps = (0, getattr(value, "steps", 0))
    return [float(value(torch.tensor(float(step)))) for step in steps] if callable(value) else [value]


class Relaxation(nn.Module, ABC):
    """How discrete values become soft: the noise whose largest sum with the logits is a draw, at a temperature.

    `soften` maps noisy logits, over a temperature, to soft values; `harden` a soft value to the discrete one nearest
    to it, which is a draw from the discrete family, whatever the temperature.
    """

    family: Family
    """The discrete family, which has the same parameters."""
    support: Constraint
    """The soft values."""

    @abstractmethod
    def noisy(self, logits: Tensor) -> Tensor:
        """The logits plus noise."""

    @abstractmethod
    def noise_rule(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Points of noise, always the same, `(points, *what broadcasts with an event)`, and their weights."""

    @abstractmethod
    def soften(self, scores: Tensor) -> Tensor:
        """Soft values of scores."""

    @abstractmethod
    def harden(self, soft: Tensor) -> Tensor:
        """The discrete value nearest to a soft one."""

    @abstractmethod
    def log_density(self, soft: Tensor, logits: Tensor, temperature: Tensor) -> Tensor:
        """The log-density of soft values, `(*logits)` or, where the classes lie along an axis, 1 in its place.

        What lies nearer to an edge than numbers can tell is softened to the nearest that can be told: that value has
        the mass of all these, in the place of a density. So a bound stays one, however sure the logits are.
        """


class SoftBits(Relaxation):
    """Binary values in (0, 1): a logistic variable over a temperature, through a sigmoid.

    Source: Maddison, Mnih and Teh, 2017 (BinConcrete).
    """

    support = OpenInterval(0.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.family = Bernoulli()

    def noisy(self, logits: Tensor) -> Tensor:
        return logits + _gumbel(logits) - _gumbel(logits)

    def noise_rule(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The trapezoidal rule for logistic noise, which converges geometrically."""
        noise = torch.linspace(-20, 20, 161, dtype=like.dtype, device=like.device)
        return noise.unsqueeze(-1), (logsigmoid(noise) + logsigmoid(-noise)).softmax(0)

    def soften(self, scores: Tensor) -> Tensor:
        least = self._least(scores)
        return torch.sigmoid(scores).clamp(least, 1 - least)

    @staticmethod
    def _least(like: Tensor) -> float:
        """The distance from 0 and from 1 that numbers of this precision can tell."""
        return torch.finfo(like.dtype).eps

    def harden(self, soft: Tensor) -> Tensor:
        return (soft > 0.5).to(soft.dtype)

    def log_density(self, soft: Tensor, logits: Tensor, temperature: Tensor) -> Tensor:
        log_soft, log_rest = soft.log(), torch.log1p(-soft)
        noise = temperature * (log_soft - log_rest) - logits
        log_below, log_above = logsigmoid(noise), logsigmoid(-noise)
        within = temperature.log() + log_below + log_above - log_soft - log_rest
        least = self._least(soft)
        at_edges = torch.where(soft >= 1 - least, log_above, within)
        return torch.where(soft <= least, log_below, at_edges)


class SoftClasses(Relaxation):
    """One of K classes as a point of the simplex: logits plus Gumbel noise over a temperature, through a softmax.

    Args:
        axes: how many axes an event has; the classes lie along the first.

    Sources: Jang, Gu and Poole, 2017; Maddison, Mnih and Teh, 2017 (Concrete).
    """

    support = constraints.simplex

    def __init__(self, axes: int = 1) -> None:
        super().__init__()
        self.family = OneHot(axes)
        self.axis = -axes

    def noisy(self, logits: Tensor) -> Tensor:
        return logits + _gumbel(logits)

    def noise_rule(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Evenly spread Gumbel noise, all of the same weight."""
        classes, points = like.shape[self.axis], 512
        even = torch.quasirandom.SobolEngine(classes, scramble=True, seed=0).draw(points, dtype=torch.float64)
        gumbel = -(-even.clamp(min=2**-30, max=1 - 2**-30).log()).log()
        return gumbel.to(like).reshape(points, classes, *[1] * (-self.axis - 1)), like.new_full((points,), 1 / points)

    def soften(self, scores: Tensor) -> Tensor:
        return scores.softmax(self.axis).clamp(min=self._least(scores))

    @staticmethod
    def _least(like: Tensor) -> float:
        """The smallest share that numbers of this precision hold."""
        return torch.finfo(like.dtype).tiny

    def harden(self, soft: Tensor) -> Tensor:
        largest = soft.argmax(self.axis, keepdim=True)
        return torch.zeros_like(soft).scatter(self.axis, largest, 1.0)

    def log_density(self, soft: Tensor, logits: Tensor, temperature: Tensor) -> Tensor:
        r"""With n classes that are not at the edge, and :math:`u_k = \pi_k z_k^{-t}`.

        .. math:: (n - 1)! \, t^{n - 1} \Bigl( \sum_k u_k \Bigr)^{-n} \prod_{z_k \text{ within}} u_k / z_k
        """
        log_soft = soft.log()
        scores = logits - temperature * log_soft
        within = (soft > self._least(soft)).to(soft.dtype)
        n = within.sum(self.axis, keepdim=True)
        each = ((scores - log_soft) * within).sum(self.axis, keepdim=True)
        return n.lgamma() + (n - 1) * temperature.log() + each - n * scores.logsumexp(self.axis, keepdim=True)


def _gumbel(like: Tensor) -> Tensor:
    """Standard Gumbel draws, from exponential ones, which have all their digits where the tail is."""
    return -torch.empty_like(like).exponential_().clamp(min=torch.finfo(like.dtype).tiny).log()
