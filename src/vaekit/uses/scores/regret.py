"""Likelihood regret: how much better a row could be explained by a posterior of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import TypeAlias, cast

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.func import grad

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch, Condition, Conditional, Context, Deterministic, Latent, Parametric
from vaekit.core.context import event_of
from vaekit.core.merge import PrecisionWeighted
from vaekit.evaluate.evidence import refuse_points
from vaekit.objectives.checks import refuse_posteriors_without_path
from vaekit.uses.score import Encode
from vaekit.uses.scores.likelihood import mean_over_draws, tight_elbo
from vaekit.uses.scores.scorer import Scorer, refuse_no_samples, rows_alone

Part: TypeAlias = Latent | Deterministic | Condition
Shifts = Mapping[str, Tensor]
"""What is added to the parameters of each latent's posterior, `(batch, *params)`, by the name it is given by."""


@dataclass(frozen=True)
class LikelihoodRegret(Scorer):
    r"""What the ELBO of a row gains when its own posterior is optimised for it, in nats.

    .. math:: \max_{\tau} L(x; \tau) - L(x; \tau_\phi(x))

    with :math:`\tau_\phi(x)` the posterior's parameters as the encoder gives them, from which the search starts; the
    decoder stays as it is. Of rows like those it was trained on the encoder knows the best posterior; others, likely
    or not, have much to gain. The search is by Adam at a rate that
    falls to 0, on fresh draws in each step; both its ends are compared on the same draws. What
    there is nothing to gain for may come out a little below 0, by the noise of the search.

    Args:
        steps: of the search.
        learning_rate: where its rate starts, in units of the parameters before they are made positive.
        draws: for each step.

    Source: Xiao, Yan and Amit, 2020. Raises `UsageError` for a posterior that is a point, whose draws have no
    gradient, or that is not a family of parameters.

    >>> from vaekit.recipes import build
    >>> model = build("vae", (6,), latent=2, seed=0).model
    >>> bool((LikelihoodRegret()(model, Batch(torch.rand(5, 6))) > 0).all())
    True
    """

    steps: int = 50
    learning_rate: float = 0.05
    draws: int = 8

    def __call__(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Tensor:
        refuse_no_samples(samples)
        refuse_points(model, "likelihood regret")
        refuse_posteriors_without_path(model, self, ())
        free = freed(model)

        def regret(one: Batch) -> Tensor:
            seen = Batch(encode(one.x), one.given)
            return elbo_gain(free, seen, samples, self._searched(free, seen), seed)

        return rows_alone(free, batch, regret, max(samples, self.draws), seed)

    def _searched(self, free: VAE, one: Batch) -> Shifts:
        """The shifts of a single row after some steps of Adam up its ELBO."""

        def height(at: Shifts) -> Tensor:
            return tight_elbo(free.trace(one.x, self.draws, {**one.given, **at})).mean()

        search = {name: AdamPoint.at(value) for name, value in no_shifts(free, one).items()}
        for step in range(self.steps):
            rate = self.learning_rate * (1 - step / self.steps)
            slopes = grad(height)({name: point.value for name, point in search.items()})
            search = {name: search[name].moved(slope, step + 1, rate) for name, slope in slopes.items()}
        return {name: point.value for name, point in search.items()}


@dataclass(frozen=True)
class AdamPoint:
    """A point that climbs by Adam, with its running moments of the slope. Source: Kingma and Ba, 2015."""

    value: Tensor
    first: Tensor
    second: Tensor

    @staticmethod
    def at(value: Tensor) -> AdamPoint:
        """A point that has not moved yet."""
        return AdamPoint(value, torch.zeros_like(value), torch.zeros_like(value))

    def moved(self, slope: Tensor, step: int, rate: float) -> AdamPoint:
        """The point after its `step`-th step, counted from 1, uphill."""
        first, second = 0.9 * self.first + 0.1 * slope, 0.999 * self.second + 0.001 * slope.square()
        mean, square = first / (1 - 0.9**step), second / (1 - 0.999**step)
        return AdamPoint(self.value + rate * mean / (square.sqrt() + 1e-8), first, second)


class Shifted(Conditional):
    """A family's posterior with what the context holds under the name `shift`, if anything, added to its parameters."""

    def __init__(self, posterior: Parametric, shift: str) -> None:
        super().__init__()
        self.posterior, self.shift = posterior, shift
        self.given = posterior.given

    def forward(self, context: Context) -> Distribution:
        params = self.posterior.params(context)
        shift = context.get(self.shift)
        distribution: Distribution = self.posterior.family(params if shift is None else params + shift)
        return distribution

    def params_shape(self, event_shape: Size) -> Size:
        """The shape of what can be added."""
        return self.posterior.family.params_shape(event_shape)


def freed(model: VAE) -> VAE:
    """A model of the same parts, whose posteriors' parameters can be shifted row by row: `given={"z shift": ...}`.

    >>> from vaekit.recipes import build
    >>> sorted(freed(build("ladder_vae", (6,)).model).parts) == sorted(build("ladder_vae", (6,)).model.parts)
    True
    """
    return VAE(model.likelihood, **{name: _freed(name, part) for name, part in model.parts.items()})


def _freed(name: str, part: nn.Module) -> Part:
    return Latent(part.prior, shifted(part.posterior, _shift(name))) if isinstance(part, Latent) else cast("Part", part)


def _shift(latent: str) -> str:
    return f"{latent} shift"


@singledispatch
def shifted(posterior: Conditional, shift: str) -> Conditional:
    """The posterior, with parameters to which what the context holds under the name `shift` is added."""
    kind = type(posterior).__name__
    raise UsageError(f"likelihood regret needs posteriors that are families of parameters, not a {kind}")


@shifted.register
def _parametric(posterior: Parametric, shift: str) -> Conditional:
    return Shifted(posterior, shift)


@shifted.register
def _merged(posterior: PrecisionWeighted, shift: str) -> Conditional:
    return PrecisionWeighted(shifted(posterior.message, shift), posterior.prior)


def no_shifts(free: VAE, one: Batch) -> Shifts:
    """Shifts of 0 for each latent of a single row that is not known, `(1, *params)`."""
    context = free.posterior(one.x, given=one.given)
    unknown = ((name, latent) for name, latent in free.latents() if name not in one.given)
    return {_shift(name): _zeros(latent.posterior, context[name].value) for name, latent in unknown}


def _zeros(posterior: Conditional, value: Tensor) -> Tensor:
    source = next(part for part in posterior.modules() if isinstance(part, Shifted))
    return value.new_zeros(1, *source.params_shape(event_of(value)))


def elbo_gain(free: VAE, one: Batch, samples: int, shifts: Shifts, seed: int) -> Tensor:
    """What the ELBO of a single row gains by shifts, `()`; both sides are of the same draws."""
    sides = (one, Batch(one.x, {**one.given, **shifts}))
    before, after = (_elbo(free, side, samples, seed) for side in sides)
    return after - before


def _elbo(free: VAE, one: Batch, samples: int, seed: int) -> Tensor:
    with seeded(seed, one.x.device):
        return mean_over_draws(free, one, samples, tight_elbo)
