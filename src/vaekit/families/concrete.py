"""Soft discrete values with a density of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import term
from vaekit.families.relaxation import Relaxation, Temperature

NONE = Size()


class Concrete(Family):
    """Soft classes or soft bits as the latent itself, with a density: a bound for a model that is soft too.

    Its prior is soft as well: `priors.soft_classes`, `priors.soft_bits`. Parameters are the logits.

    Args:
        relaxation: `SoftClasses(axes)` or `SoftBits()`.
        temperature: a number, or a schedule over the steps of training.

    Source: Maddison, Mnih and Teh, 2017.

    >>> from vaekit.families import SoftBits
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

    def written(self, reads: str) -> str:
        return f"Concrete {term(self.relaxation.family, reads)} at {self.temperature.words}"

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
