"""Checks of what is composed: an objective against the posteriors whose draws it learns from."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn
from torch.distributions import Distribution

from vaekit.common.errors import UsageError
from vaekit.core.conditional import Parametric
from vaekit.core.latent import Draw, DrawsWithDensity, Latent
from vaekit.core.trace import Trace
from vaekit.core.vae import VAE
from vaekit.families import GumbelSoftmax


def drawn(trace: Trace) -> dict[str, Draw]:
    """The draws of the latents that were drawn, not clamped."""
    return {name: term.drawn for name, term in trace.latents.items() if term.drawn is not None}


def without_path(trace: Trace) -> dict[str, Draw]:
    """The draws through which there is no gradient."""
    return {name: draw for name, draw in drawn(trace).items() if not _has_path(draw)}


def _has_path(draw: Draw) -> bool:
    return draw.distribution.has_rsample or isinstance(draw.distribution, DrawsWithDensity)


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


def _pathless(asking: object, name: str, distribution: Distribution) -> UsageError:
    who, kind = " ".join(str(asking).split()), type(getattr(distribution, "base_dist", distribution)).__name__
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
