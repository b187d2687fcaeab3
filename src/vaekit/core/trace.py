"""Traces: all that a model leaves behind when it explains a batch, or makes one up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Size, Tensor
from torch.distributions import Distribution

from vaekit.core.context import NOTHING, Context
from vaekit.core.latent import LatentTerm


@dataclass(frozen=True)
class Batch:
    """Data to explain, `(batch, *event)`, and what is known beside them, each `(batch, *event)`."""

    x: Tensor
    given: Context = field(default_factory=lambda: NOTHING)

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Trace:
    """The explanation of a batch. Log terms are `(sample, batch)`, in nats, and computed when first read."""

    context: Context
    likelihood: Distribution
    latents: Mapping[str, LatentTerm]

    @cached_property
    def log_lik(self) -> Tensor:
        """log p(x | z)."""
        log_lik: Tensor = self.likelihood.log_prob(self.context["x"])
        return log_lik

    @cached_property
    def log_weight(self) -> Tensor:
        """log p(x, z) - log q(z | x): its mean is the ELBO, its log-mean-exp estimates log p(x)."""
        log_weight: Tensor = self.log_lik
        for term in self.latents.values():
            log_weight = log_weight + term.log_prior - term.log_posterior
        return log_weight


@dataclass(frozen=True)
class Generation:
    """What a model made up: the latents it drew, and the distribution of x given them."""

    context: Context
    likelihood: Distribution
    n: int

    def draw(self) -> Tensor:
        """One x for each example, `(batch, *event)`."""
        return self._wide().sample().squeeze(0)

    @property
    def mean(self) -> Tensor:
        """The mean of x given the latents, `(batch, *event)`."""
        return self._wide().mean.squeeze(0)

    def _wide(self) -> Distribution:
        wide: Distribution = self.likelihood.expand(Size((1, self.n)))
        return wide

    def latent(self, name: str) -> Tensor:
        """A latent's draws, `(batch, *event)`."""
        return self.context[name].squeeze(0)
