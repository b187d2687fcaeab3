"""Traces: all that a model leaves behind when it explains a batch, or makes one up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vaekit.core.context import NOTHING, Context
from vaekit.core.latent import LatentTerm

if TYPE_CHECKING:
    from vaekit.core.vae import VAE


@dataclass(frozen=True)
class Batch:
    """Data to explain, `(batch, *event)`, and what is known beside them, each `(batch, *event)`."""

    x: Tensor
    given: Context = field(default_factory=lambda: NOTHING)
    chances: Tensor | None = None
    """The weight of each sample of a trace of it, `(sample, batch)`, which sum to 1; equal ones if not given."""

    def __len__(self) -> int:
        return len(self.x)

    def over_samples(self, log_terms: Tensor) -> Tensor:
        """The mean over samples: `(sample or 1, batch or 1)` to `(batch,)`."""
        if self.chances is None:
            return log_terms.mean(0).expand(len(self))
        return (self.chances * log_terms).sum(0)

    @property
    def counted(self) -> int:
        """How many of its examples count in means and gradients."""
        return len(self)

    def split(self, rows: int) -> tuple[Batch, ...]:
        """The batch in parts of so many examples."""
        parts = (slice(start, start + rows) for start in range(0, len(self), rows))
        return tuple(Batch(self.x[part], {name: value[part] for name, value in self.given.items()}) for part in parts)


@dataclass(frozen=True)
class Trace:
    """The explanation of a batch by a model. Log terms are `(sample, batch)`, in nats, and computed when first read."""

    model: VAE
    context: Context
    latents: Mapping[str, LatentTerm]

    @property
    def values(self) -> dict[str, Tensor]:
        """x, the conditions and the latents: the context without what the model computes from them."""
        return {name: value for name, value in self.context.items() if name not in self.model.computed}

    @cached_property
    def likelihood(self) -> Distribution:
        """p(x | z)."""
        likelihood: Distribution = self.model.likelihood(self.context)
        return likelihood

    @cached_property
    def log_lik(self) -> Tensor:
        """log p(x | z)."""
        log_lik: Tensor = self.likelihood.log_prob(self.context["x"])
        return log_lik

    @cached_property
    def log_joint(self) -> Tensor:
        """log p(x, z)."""
        return self.log_lik + sum(term.log_prior for term in self.latents.values())

    @cached_property
    def log_posterior(self) -> Tensor:
        """log q(z | x)."""
        return sum((term.log_posterior for term in self.latents.values()), torch.zeros(()))

    @cached_property
    def log_weight(self) -> Tensor:
        """log p(x, z) - log q(z | x): its mean is the ELBO, its log-mean-exp estimates log p(x)."""
        return self.log_joint - self.log_posterior


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
