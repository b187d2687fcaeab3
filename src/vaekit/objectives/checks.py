"""Checks of what is composed: an objective against the posteriors whose draws it learns from."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn
from torch.distributions import Distribution
from torch.nn.modules.dropout import _DropoutNd

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core.conditional import Deterministic, Parametric
from vaekit.core.latent import Draw, DrawsWithDensity, Latent
from vaekit.core.measure import refuse_draws_outside, refuse_unlike
from vaekit.core.order import depending_on
from vaekit.core.shared import shared_latents
from vaekit.core.trace import Trace
from vaekit.core.vae import VAE
from vaekit.families import GumbelSoftmax
from vaekit.families.point import is_point, point_latents


def drawn(trace: Trace) -> dict[str, Draw]:
    """The draws of the latents that were drawn, not clamped."""
    return {name: term.drawn for name, term in trace.latents.items() if term.drawn is not None}


def without_path(trace: Trace) -> dict[str, Draw]:
    """The draws through which there is no gradient."""
    return {name: draw for name, draw in drawn(trace).items() if not _has_path(draw)}


def _has_path(draw: Draw) -> bool:
    return draw.distribution.has_rsample or isinstance(draw.distribution, DrawsWithDensity)


def reading_draws(model: VAE, draws: Collection[str]) -> tuple[str, ...]:
    """Those of the drawn latents whose posterior reads another of them, directly or through what is computed."""
    reads = {name: latent.posterior.given for name, latent in model.latents()}
    reads |= {name: part.given for name, part in model.parts.items() if isinstance(part, Deterministic)}
    return tuple(sorted(set().union(*(depending_on(name, reads) - {name} for name in draws)) & set(draws)))


def changes_when_run(model: VAE) -> nn.Module | None:
    """A part that is another one when it is run once more in training: one that learns by being run, or dropout."""
    if not model.training:
        return None
    return next((part for part in model.parts.modules() if _changes(part)), None)


def _changes(part: nn.Module) -> bool:
    return isinstance(part, _DropoutNd) or bool(getattr(part, "learns_when_run", False))


def refuse_without_path(trace: Trace, asking: object) -> None:
    """Refuse a draw through which there is no gradient, where one is asked for.

    Raises `UsageError` that names the latent and what is asking.
    """
    if not torch.is_grad_enabled():
        return
    for name, draw in without_path(trace).items():
        raise _pathless(asking, name, draw.distribution)


def refuse_posteriors_without_path(model: VAE, asking: object, summed_out: Collection[str]) -> None:
    """Refuse, before anything is drawn, posteriors whose draws have no gradient, but for what is summed out.

    Raises `UsageError` that names the latent and what is asking.
    """
    for name, latent in model.latents():
        posterior = None if name in summed_out else _at_zero(latent)
        if posterior is not None and not posterior.has_rsample:
            raise _pathless(asking, name, posterior)


def refuse_unlike_latents(model: VAE) -> None:
    """Refuse, before anything is explained, latents whose posterior and prior do not hold the same values.

    Raises `UsageError` that names the latent and both supports.
    """
    with seeded(0), torch.no_grad():
        for name, latent in model.latents():
            posterior = _at_zero(latent)
            if posterior is not None:
                prior = latent.prior({})
                refuse_unlike(name, posterior, prior)
                refuse_draws_outside(name, posterior, prior)


def _at_zero(latent: Latent) -> Distribution | None:
    """A posterior with parameters of 0; None where it is not of a family, or its shape is not known."""
    posterior, prior = latent.posterior, latent.prior
    if not isinstance(posterior, Parametric) or prior.given:
        return None
    with torch.no_grad():
        params = posterior.family.params_shape(prior({}).event_shape)
        like = next(posterior.parameters(), torch.zeros(()))
        distribution: Distribution = posterior.family(like.new_zeros(1, 1, *params))
    return distribution


def points_of(trace: Trace) -> tuple[str, ...]:
    """The latents of a trace that were drawn from a point."""
    return tuple(name for name, draw in drawn(trace).items() if is_point(draw.distribution))


def refuse_points(points: Collection[str], asking: object) -> None:
    """Refuse latents whose posterior is a point, where its density is asked for.

    Raises `UsageError` that names the latent and what is asking.
    """
    for name in points:
        raise UsageError(
            f"{_named(asking)} needs the density of the posterior of {name!r}, which is a point and has none: take a "
            "posterior with a density, or Elbo(beta=0.0), which makes it an autoencoder"
        )


def refuse_shared(model: VAE, asking: object) -> None:
    """Refuse a model with a latent that all rows share, where what is asked for is no sum over rows.

    Raises `UsageError` that names the latent and what is asking.
    """
    for name in shared_latents(model):
        raise UsageError(
            f"{_named(asking)} is of each row by itself, but all rows share {name!r}, and it would bound nothing: take "
            "Elbo(), which adds up over rows"
        )


class NeedsDensities:
    """A part of an objective that refuses a model with a posterior that is a point."""

    def demand(self, model: VAE) -> None:
        """Refuse such a model by a `UsageError` that names the latent."""
        refuse_points(point_latents(model), self)


def _named(asking: object) -> str:
    return " ".join(str(asking).split())


def _pathless(asking: object, name: str, distribution: Distribution) -> UsageError:
    who, kind = _named(asking), type(getattr(distribution, "base_dist", distribution)).__name__
    return UsageError(
        f"{who} needs a gradient through the draws of {name!r}, and a {kind} has none: take the objective Rloo() or "
        f"Disarm(), sum it out by Enumerate({name!r}, ...), or take a posterior that draws pathwise, such as a "
        "straight-through one"
    )


def draws_softly(model: nn.Module) -> bool:
    """Whether a latent of the model is trained by soft draws that stand for discrete ones.

    Then no objective's value is a bound while it trains, whatever the objective is; without a gradient it is.
    """
    return any(isinstance(part, GumbelSoftmax) and not part.hard for part in model.modules())
