"""Discrete latents with a gradient: straight-through and relaxed draws, and the relaxations that are densities.

Three ways, and what each is worth:

- `StraightThrough`: the draws are discrete, so that every value is what it is called; the gradient is biased.
- `GumbelSoftmax`: while a gradient is asked for, draws are soft and stand for discrete ones. The KL is that of the
  classes, the reconstruction that of soft draws: their difference is **not a bound**, and its gradient is biased. Where
  no gradient is asked for (evaluation), draws are discrete, and the numbers are what they are called.
- `Concrete`: the soft draws are the latent, with a density of their own and a soft prior. The ELBO is a bound, of the
  soft model's log p(x).

An unbiased gradient for discrete draws is the objectives' matter: `objectives.score_function`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, constraints, kl_divergence
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid

from vaekit.common.errors import UsageError
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.families.bernoulli import Bernoulli
from vaekit.families.categorical import OneHot
from vaekit.families.closed_form import kl_of
from vaekit.families.supports import OpenInterval

NONE = Size()


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
        if not callable(value) and not value > 0:
            raise UsageError(f"a temperature of {value}: it must be positive")
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

    def extra_repr(self) -> str:
        return str(self.value)


class Surrogate(Distribution, ABC):
    """A discrete distribution whose draws have a gradient that is not quite theirs.

    Everything but `rsample` is the discrete distribution's: its probabilities, its mean, its KL, its `sample`.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = True

    def __init__(self, exact: Distribution) -> None:
        self.exact = exact
        super().__init__(exact.batch_shape, exact.event_shape, validate_args=False)

    @property
    def support(self) -> Constraint | None:
        """That of the discrete distribution."""
        return self.exact.support

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self.exact.mean

    @property
    def variance(self) -> Tensor:
        """Of each coordinate."""
        return self.exact.variance

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Whether its values can be listed."""
        return self.exact.has_enumerate_support

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values."""
        return self.exact.enumerate_support(expand)

    def entropy(self) -> Tensor:
        """The entropy."""
        return self.exact.entropy()

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) of discrete values."""
        return self.exact.log_prob(value)

    def sample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Discrete draws."""
        return self.exact.sample(sample_shape)

    @abstractmethod
    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Draws with a gradient."""


@kl_of(Surrogate, Distribution)
def _kl_of_the_discrete(p: Surrogate, q: Distribution) -> Tensor:
    return torch.as_tensor(kl_divergence(p.exact, q))


class StraightThroughDistribution(Surrogate):
    """Discrete draws, with the gradient of the probabilities in the place of their own."""

    def expand(self, batch_shape: Size, _instance: None = None) -> StraightThroughDistribution:  # type: ignore[override]
        """The same distribution with its parameters broadcast."""
        return StraightThroughDistribution(self.exact.expand(batch_shape))

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """A discrete draw, plus a zero that has the gradient of the mean."""
        return carried(self.exact.sample(sample_shape), self.exact.mean)


def carried(value: Tensor, by: Tensor) -> Tensor:
    """A value, to the bit, with the gradient of another.

    >>> probability = torch.tensor(0.3, requires_grad=True)
    >>> carried(torch.tensor(1.0), probability).backward()
    >>> float(probability.grad)
    1.0
    """
    return value.detach() + (by - by.detach())


class StraightThrough(Family):
    """A discrete family whose draws pass the gradient on to their probabilities, as if they were these.

    Every value is that of discrete draws, so the ELBO is a bound; its gradient is biased. Parameters and errors are
    those of the family.

    Source: Bengio, Leonard and Courville, 2013.

    >>> posterior = StraightThrough(Bernoulli())(torch.zeros(1, 5, 3))
    >>> bool(posterior.support.check(posterior.rsample()).all()), posterior.has_rsample
    (True, True)
    """

    biased = True

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family
        self.over_vectors = family.over_vectors

    def width(self, event_shape: Size) -> int:
        return self.family.width(event_shape)

    def forward(self, params: Tensor) -> Distribution:
        return wrapped(StraightThroughDistribution, self.family(params))

    @property
    def support(self) -> Constraint:
        return self.family.support

    def density(self, x: Tensor) -> Density:
        return self.family.density(x)


def wrapped(surrogate: Callable[[Distribution], Distribution], exact: Distribution) -> Distribution:
    """The surrogate of a distribution; of independent coordinates, that of each of them."""
    if isinstance(exact, Independent):
        return Independent(surrogate(exact.base_dist), exact.reinterpreted_batch_ndims, validate_args=False)
    return surrogate(exact)


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
        """The log-density of soft values, `(*logits)` or, where the classes lie along an axis, 1 in its place."""


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
        smallest = torch.finfo(scores.dtype).eps
        return torch.sigmoid(scores).clamp(smallest, 1 - smallest)

    def harden(self, soft: Tensor) -> Tensor:
        return (soft > 0.5).to(soft.dtype)

    def log_density(self, soft: Tensor, logits: Tensor, temperature: Tensor) -> Tensor:
        log_soft, log_rest = soft.log(), torch.log1p(-soft)
        noise = temperature * (log_soft - log_rest) - logits
        return temperature.log() + logsigmoid(noise) + logsigmoid(-noise) - log_soft - log_rest


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
        return scores.softmax(self.axis).clamp(min=torch.finfo(scores.dtype).tiny)

    def harden(self, soft: Tensor) -> Tensor:
        largest = soft.argmax(self.axis, keepdim=True)
        return torch.zeros_like(soft).scatter(self.axis, largest, 1.0)

    def log_density(self, soft: Tensor, logits: Tensor, temperature: Tensor) -> Tensor:
        classes, log_soft = logits.shape[self.axis], soft.log()
        scores = logits - temperature * log_soft
        constant = math.lgamma(classes) + (classes - 1) * temperature.log()
        spread = (scores - log_soft).sum(self.axis, keepdim=True) - classes * scores.logsumexp(self.axis, keepdim=True)
        return constant + spread


def _gumbel(like: Tensor) -> Tensor:
    """Standard Gumbel draws, from exponential ones, which have all their digits where the tail is."""
    return -torch.empty_like(like).exponential_().clamp(min=torch.finfo(like.dtype).tiny).log()


class SoftDraws(Surrogate):
    """A discrete distribution with soft draws while a gradient is asked for, and discrete ones where none is."""

    def __init__(self, relaxation: Relaxation, logits: Tensor, temperature: Tensor, hard: bool) -> None:
        self.relaxation, self.logits, self.temperature, self.hard = relaxation, logits, temperature, hard
        super().__init__(relaxation.family(logits))

    def expand(self, batch_shape: Size, _instance: None = None) -> SoftDraws:  # type: ignore[override]
        """The same distribution with its parameters broadcast."""
        logits = self.logits.expand(*batch_shape, *self.event_shape)
        return SoftDraws(self.relaxation, logits, self.temperature, self.hard)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) of discrete values; a soft draw is refused, as it has none."""
        if value.requires_grad and not self.hard:
            raise UsageError(
                "a soft draw has no probability under the classes it stands for: take straight-through draws, a "
                "Concrete posterior with a soft prior, or an objective whose KL has a closed form"
            )
        return super().log_prob(value)

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Soft draws, or where `hard` the discrete ones nearest to them with their gradient."""
        if not torch.is_grad_enabled():
            return self.sample(sample_shape)
        logits = self.logits.expand(self._extended_shape(Size(sample_shape)))
        soft = self.relaxation.soften(self.relaxation.noisy(logits) / self.temperature)
        return carried(self.relaxation.harden(soft), soft) if self.hard else soft


class GumbelSoftmax(Family):
    """Classes or bits whose draws are soft, at a temperature, while a gradient is asked for.

    The KL of such a posterior is that of the classes, in closed form. With soft draws the ELBO of a training step is
    then **not a bound**; with `hard` ones (straight-through Gumbel-softmax) it is. Either way its gradient is biased,
    the less so the lower the temperature. Without a gradient, draws are discrete and exact. Parameters are the logits.

    Args:
        relaxation: `SoftClasses(axes)` or `SoftBits()`.
        temperature: a number, or a schedule over the steps of training.
        hard: whether draws are the discrete ones nearest to the soft ones.

    Source: Jang, Gu and Poole, 2017.

    >>> posterior = GumbelSoftmax(SoftClasses(), temperature=0.5)(torch.zeros(1, 5, 3, requires_grad=True))
    >>> posterior.rsample().sum(-1).allclose(torch.ones(1, 5)), posterior.sample().max() == 1
    (True, tensor(True))
    """

    biased = True

    def __init__(
        self, relaxation: Relaxation, temperature: float | Callable[[Tensor], Tensor] = 1.0, hard: bool = False
    ) -> None:
        super().__init__()
        self.relaxation = relaxation
        self.over_vectors = relaxation.family.over_vectors
        self.temperature = Temperature(temperature)
        self.hard = hard

    def width(self, event_shape: Size) -> int:
        return self.relaxation.family.width(event_shape)

    def forward(self, params: Tensor) -> Distribution:
        return SoftDraws(self.relaxation, params, self.temperature(), self.hard)

    @property
    def support(self) -> Constraint:
        return self.relaxation.family.support

    def density(self, x: Tensor) -> Density:
        return self.relaxation.family.density(x)

    def extra_repr(self) -> str:
        return f"hard={self.hard}"


class Concrete(Family):
    """Soft classes or soft bits as the latent itself, with a density: a bound for a model that is soft too.

    Its prior is soft as well: `priors.soft_classes`, `priors.soft_bits`. Parameters are the logits.

    Args:
        relaxation: `SoftClasses(axes)` or `SoftBits()`.
        temperature: a number, or a schedule over the steps of training.

    Source: Maddison, Mnih and Teh, 2017.

    >>> posterior = Concrete(SoftBits(), temperature=1.0)(torch.zeros(1, 1, 1))
    >>> bool(posterior.log_prob(torch.full((1, 1, 1), 0.3)).abs() < 1e-6)  # uniform on (0, 1)
    True
    """

    def __init__(self, relaxation: Relaxation, temperature: float | Callable[[Tensor], Tensor] = 2 / 3) -> None:
        super().__init__()
        self.relaxation = relaxation
        self.over_vectors = relaxation.family.over_vectors
        self.temperature = Temperature(temperature)

    def width(self, event_shape: Size) -> int:
        return self.relaxation.family.width(event_shape)

    def forward(self, params: Tensor) -> Distribution:
        return ConcreteDistribution(self.relaxation, params, self.temperature(), len(params.shape) - 2)

    @property
    def support(self) -> Constraint:
        return self.relaxation.support

    def density(self, x: Tensor) -> Density:
        return Density("relaxed discrete values", "probability density")


class ConcreteDistribution(Distribution):
    """Soft discrete values by their logits, over events of `axes` axes."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = True

    def __init__(self, relaxation: Relaxation, logits: Tensor, temperature: Tensor, axes: int) -> None:
        self.relaxation, self.logits, self.temperature = relaxation, logits, temperature
        cut = logits.dim() - axes
        super().__init__(logits.shape[:cut], logits.shape[cut:], validate_args=False)

    @property
    def support(self) -> Constraint:
        """The soft values."""
        return self.relaxation.support

    def expand(self, batch_shape: Size, _instance: None = None) -> ConcreteDistribution:  # type: ignore[override]
        """The same distribution with its parameters broadcast."""
        logits = self.logits.expand(*batch_shape, *self.event_shape)
        return ConcreteDistribution(self.relaxation, logits, self.temperature, len(self.event_shape))

    @property
    def mean(self) -> Tensor:
        """The mean, over fixed points of noise: the same at every call, of classes off by up to 0.002."""
        mean = torch.zeros_like(self.logits)
        for noise, weight in zip(*self.relaxation.noise_rule(self.logits), strict=True):
            mean = mean + weight * self.relaxation.soften((self.logits + noise) / self.temperature)
        return mean

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density."""
        log_density = self.relaxation.log_density(value, self.logits, self.temperature)
        return log_density.flatten(-len(self.event_shape)).sum(-1)

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Soft draws with a pathwise gradient."""
        logits = self.logits.expand(self._extended_shape(Size(sample_shape)))
        return self.relaxation.soften(self.relaxation.noisy(logits) / self.temperature)
