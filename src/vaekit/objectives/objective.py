"""The contract of an objective: a function of the trace, to be maximised, in nats per example."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.core.trace import Batch, Trace
from vaekit.core.vae import VAE
from vaekit.families.point import point_latents
from vaekit.objectives.checks import (
    draws_softly,
    points_of,
    refuse_posteriors_without_path,
    refuse_shared,
    refuse_without_path,
)


@dataclass(frozen=True)
class Step:
    """Where in the run an objective is asked: the number of optimiser steps done, as a tensor."""

    count: Tensor

    @staticmethod
    def first(device: torch.device | str = "cpu") -> Step:
        """The step before any update."""
        return Step(torch.zeros((), dtype=torch.long, device=device))


@dataclass(frozen=True)
class Terms:
    """What an objective makes of a batch. Every term is `(batch,)`, in nats per example.

    `value` is what is optimised; `elbo` is the plain, unweighted bound. They are two numbers, whatever the weights.
    """

    value: Tensor
    log_likelihood: Tensor
    kl: Mapping[str, Tensor]
    """Of each latent but those whose posterior is a point."""
    rival: Tensor | None = None
    """What the objective's rival parameters maximise, where it has any."""
    points: tuple[str, ...] = ()
    """The latents whose posterior is a point: it has no KL, and the model no ELBO."""

    @property
    def total_kl(self) -> Tensor:
        """The KL of all latents together."""
        return torch.stack(tuple(self.kl.values())).sum(0) if self.kl else torch.zeros_like(self.value)

    @property
    def elbo(self) -> Tensor:
        """E log p(x | z) - KL, each with weight 1; refused by a `UsageError` where a posterior is a point."""
        if self.points:
            raise UsageError(f"there is no ELBO: the posterior of {self.points[0]!r} is a point, which has no density")
        return self.log_likelihood - self.total_kl


class OverBatch:
    """A part of an objective whose term is one of a batch as a whole, and no mean of terms of its examples.

    Over several ranks each takes it over its own share of the batch, and the gradients are averaged: the same as over
    a smaller batch, which is said at the beginning of a run.
    """


class Rival(nn.Module):
    """A part of an objective that plays against the model: its parameters maximise `Terms.rival`."""


@runtime_checkable
class Demanding(Protocol):
    """A part of an objective that not every model has what it takes for."""

    def demand(self, model: VAE) -> None:
        """Raise `UsageError` where the model lacks something, and name it."""


class Objective(nn.Module, ABC):
    """A scalar for each example, to be maximised.

    `is_bound` tells whether the value is a lower bound of log p(x) where every posterior has a density that it is drawn
    from, `bounds(model)` whether it is one for this model. What is no bound is never called one.
    """

    called: str = "objective"
    """What its value is called, where a model is chosen by it."""
    is_bound: bool = False
    sums_out: str | None = None
    """The discrete latent that it sums out instead of drawing it."""
    adds_up: bool = False
    """Whether its values for the rows of a data set add up to the one for all of them: only then can rows share a
    latent."""
    compares_pairs: bool = False
    """Whether it compares the examples of a batch pair by pair, so that its work grows with the square of them."""

    @abstractmethod
    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        """The terms of this batch at this step of the run."""

    def bounds(self, model: VAE) -> bool:
        """Whether the value is a lower bound of log p(x) while this model learns.

        It is not where a posterior is a point, nor where its draws are soft ones in the place of discrete ones.

        >>> from vaekit.recipes import build
        >>> from vaekit.objectives import Elbo
        >>> [Elbo().bounds(build(recipe, (6,)).model) for recipe in ("vae", "ae", "gumbel_vae")]
        [True, False, False]
        """
        return self.is_bound and not point_latents(model) and not draws_softly(model)

    def judge(self) -> Objective | None:
        """What rows that are held out are judged by, which tells when to stop and what to keep; None for the ELBO.

        It is another where the ELBO falls while what is learned gets better, as under an importance-weighted bound.
        """
        return None

    def rivals(self) -> list[nn.Parameter]:
        """The parameters that maximise `Terms.rival`, where all others maximise `Terms.value`; mostly none."""
        return [weight for part in self.modules() if isinstance(part, Rival) for weight in part.parameters()]

    def check(self, model: VAE) -> None:
        """Refuse a model that this objective is not made for, by a `UsageError` that names what it lacks."""
        parts = list(self.modules())
        summed_out = {part.sums_out for part in parts if isinstance(part, Objective) and part.sums_out}
        for part in parts:
            if isinstance(part, Demanding):
                part.demand(model)
            if isinstance(part, Objective):
                part.refuse_sharing(model)
            if isinstance(part, TraceObjective) and part.pathwise:
                refuse_posteriors_without_path(model, part, summed_out)

    def refuse_sharing(self, model: VAE) -> None:
        """Refuse a model whose rows share a latent, where the value does not add up over rows."""
        if not self.adds_up:
            refuse_shared(model, self)


class TraceObjective(Objective):
    """An objective that is a function of the trace the model leaves when it explains a batch once."""

    samples: int = 1
    """Draws of the latents for each example."""
    pathwise: bool = True
    """Whether it learns through the draws themselves, and so refuses a posterior whose draws have no gradient."""
    averages: bool = False
    """Whether all it makes of a trace are means over samples by `sample_mean`: samples may then have weights."""

    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        self.refuse_sharing(model)
        trace = model.trace(batch.x, self.samples, batch.given)
        if self.pathwise:
            refuse_without_path(trace, self)
        return self.of(trace, batch, step)

    @abstractmethod
    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        """The terms of a trace."""


def sample_mean(log_terms: Tensor, batch: Batch) -> Tensor:
    """The mean over samples: `(sample or 1, batch or 1)` to `(batch,)`."""
    return batch.over_samples(log_terms)


def terms_of(trace: Trace, batch: Batch, value: Tensor, kl: Mapping[str, Tensor]) -> Terms:
    """The terms of a trace, with the KL of each latent that has one averaged over samples."""
    points = points_of(trace)
    means = {name: sample_mean(term, batch) for name, term in kl.items() if name not in points}
    return Terms(value, sample_mean(trace.log_lik, batch), means, points=points)
