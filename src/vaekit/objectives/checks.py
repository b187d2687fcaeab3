"""Checks of what is composed: an objective against the posteriors whose draws it learns from."""

from __future__ import annotations

import torch
from torch import nn

from vaekit.common.errors import UsageError
from vaekit.core.latent import Draw, DrawsWithDensity
from vaekit.core.trace import Trace
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
        raise UsageError(
            f"{type(asking).__name__} needs a gradient through the draws of {name!r}, and a {_kind(draw)} has none: "
            f"take the objective Rloo() or Disarm(), sum it out by Enumerate({name!r}, ...), or take a posterior that "
            "draws pathwise, such as a straight-through one"
        )


def _kind(draw: Draw) -> str:
    return type(getattr(draw.distribution, "base_dist", draw.distribution)).__name__


def draws_softly(model: nn.Module) -> bool:
    """Whether a latent of the model is trained by soft draws that stand for discrete ones.

    Then no objective's value is a bound while it trains, whatever the objective is; without a gradient it is.
    """
    return any(isinstance(part, GumbelSoftmax) and not part.hard for part in model.modules())
