"""Latents: a prior, a posterior, and the term each leaves in a trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from vaekit.core.conditional import Conditional


class Latent(nn.Module):
    """A latent variable: its prior p(z | drawn before it) and its posterior q(z | x, ...)."""

    def __init__(self, prior: Conditional, posterior: Conditional) -> None:
        super().__init__()
        self.prior = prior
        self.posterior = posterior


@runtime_checkable
class DrawsWithDensity(Protocol):
    """A distribution that knows the log-density of a draw without inverting its own transform (flows)."""

    def rsample_and_log_prob(self, shape: Size = ...) -> tuple[Tensor, Tensor]:
        """A draw and its log-density."""


@dataclass(frozen=True)
class Draw:
    """A value drawn from a distribution, with its log-density where that came for free."""

    value: Tensor
    distribution: Distribution
    known_log_prob: Tensor | None = None

    @property
    def log_prob(self) -> Tensor:
        """log q(value), `(sample, batch)`."""
        known = self.known_log_prob
        return self.distribution.log_prob(self.value) if known is None else known


def draw(distribution: Distribution, lead: tuple[int, int]) -> Draw:
    """Draw `(sample, batch, *event)`, with a pathwise gradient where the distribution has one."""
    wide = distribution.expand(Size(lead))
    if isinstance(wide, DrawsWithDensity):
        value, log_prob = wide.rsample_and_log_prob()
        return Draw(value, distribution, log_prob)
    return Draw(wide.rsample() if wide.has_rsample else wide.sample(), distribution)


def centre(distribution: Distribution, lead: tuple[int, int]) -> Draw:
    """The mean of a distribution in the place of a draw."""
    return Draw(distribution.expand(Size(lead)).mean, distribution)


Take = Callable[[Distribution, tuple[int, int]], Draw]
"""How a value is taken from a distribution: `draw` or `centre`."""


@dataclass(frozen=True)
class LatentTerm:
    """What one latent contributes to a trace. Log terms are `(sample, batch)`, in nats.

    A latent that was clamped to a known value has no posterior draw: its log-posterior is 0.
    """

    value: Tensor
    prior: Distribution
    drawn: Draw | None
    prior_knows_draw: bool = False
    """Whether the prior reads what was inferred from this very draw: a KL in closed form would then take the two for
    independent, and only the draw itself gives an unbiased estimate."""

    @cached_property
    def log_prior(self) -> Tensor:
        """log p(z | ...)."""
        return self.prior.log_prob(self.value)

    @cached_property
    def log_posterior(self) -> Tensor:
        """log q(z | x, ...)."""
        return torch.zeros_like(self.log_prior) if self.drawn is None else self.drawn.log_prob

    @property
    def kl(self) -> Tensor:
        """log q - log p of the draw: an unbiased estimate of the KL divergence, from each sample."""
        return self.log_posterior - self.log_prior
