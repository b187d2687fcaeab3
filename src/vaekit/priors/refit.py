"""Putting another prior in the place of a model's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Size

from vaekit.common.errors import UsageError, unknown
from vaekit.core import NOTHING, VAE, Conditional, Latent
from vaekit.core.measure import ends_of, measure_of
from vaekit.priors.fits import PRIOR_FITS, PriorFit


def with_prior(model: VAE, latent: str, prior: Conditional) -> VAE:
    """A model of the same parts but for the prior of one latent; it is still a VAE, with an evidence of its own.

    Raises `UsageError` for an unknown latent, a prior that reads other latents, and a shape that does not fit.

    >>> import torch
    >>> from vaekit.core import Parametric
    >>> from vaekit.families import Bernoulli, Normal
    >>> from vaekit.priors import laplace, standard_normal
    >>> encoder = Parametric(torch.nn.Linear(6, 4), Normal(), given="x")
    >>> decoder = Parametric(torch.nn.Linear(2, 6), Bernoulli(), given="z")
    >>> model = VAE(decoder, z=Latent(standard_normal(2), encoder))
    >>> with_prior(model, "z", laplace(2)).parts["z"].posterior is encoder
    True
    """
    shape = prior_shape(model, latent)
    if not prior.given and (found := prior(NOTHING).event_shape) != shape:
        raise UsageError(f"a prior over {tuple(found)} for the latent {latent!r}, which has {tuple(shape)}")
    parts = dict(model.parts.items())
    parts[latent] = Latent(prior, dict(model.latents())[latent].posterior)
    return VAE(model.likelihood, **parts).train(model.training)  # type: ignore[arg-type]


def prior_shape(model: VAE, latent: str) -> Size:
    """The shape of a latent whose prior reads nothing."""
    latents = dict(model.latents())
    if latent not in latents:
        raise unknown("latent", latent, latents)
    prior = latents[latent].prior
    if prior.given:
        reads = ", ".join(map(repr, prior.given))
        raise UsageError(
            f"the prior of {latent!r} reads {reads}, and one fitted to codes would not: refit another latent"
        )
    shape: Size = prior(NOTHING).event_shape
    return shape


def refuse_unlike_support(model: VAE, latent: str) -> None:
    """Refuse a latent that is not a vector of real numbers: priors that are fitted to codes are densities of those."""
    prior = dict(model.latents())[latent].prior(NOTHING)
    measure, ends = measure_of(prior), ends_of(prior)
    if measure not in (None, "volume") or ends not in (None, (-math.inf, math.inf)):
        held = f"measured by {measure}" if ends is None else f"between {ends[0]:g} and {ends[1]:g}"
        raise UsageError(
            f"a prior fitted to codes is a density over real vectors, and {latent!r} is {held}: refit another latent"
        )


def record_of(kind: PriorFit) -> dict[str, Any]:
    """A kind of fitted prior and its settings, for a config file.

    >>> from vaekit.priors import NormalFit
    >>> record_of(NormalFit())
    {'kind': 'normal'}
    """
    name = next(name for name, entry in PRIOR_FITS.items() if entry is type(kind))
    return {"kind": name, **asdict(kind)}  # type: ignore[call-overload]


def kind_of(record: Mapping[str, Any]) -> PriorFit:
    """The kind of fitted prior that a record names."""
    settings = {name: value for name, value in record.items() if name != "kind"}
    return PRIOR_FITS[record["kind"]](**settings)


def refitted_blank(model: VAE, latent: str, record: Mapping[str, Any]) -> VAE:
    """The model with room for the fitted prior that a record names."""
    return with_prior(model, latent, kind_of(record).blank(prior_shape(model, latent)))
