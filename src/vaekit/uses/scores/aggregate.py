"""Scoring rows by the aggregate posterior of known rows."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch
from vaekit.core.coordinates import coordinates
from vaekit.priors.aggregate import AggregatePosterior
from vaekit.priors.refit import with_prior
from vaekit.train.means import evaluating

COMPONENTS = 1500
"""Known rows that are enough to tell where codes lie."""


def aggregated(model: VAE, batch: Batch, latent: str = "z", seed: int = 0) -> VAE:
    """The model with the aggregate posterior of known rows, or of some of them at random, in the place of its prior.

    By the prior that a VAE is trained with, a code between two clusters of the known rows is as good as one of theirs;
    by this one it is odd. All that is asked of a VAE can be asked of this one, -log p(x) first of all.

    Args:
        model: the model; it is not changed, and its parts are shared.
        batch: known rows, `(n, *event)`, as the model sees them.
        latent: whose prior it is.
        seed: of the choice of rows, where there are more than are needed.

    Raises `UsageError` for a posterior that is not one of independent normals, and as `with_prior` does.

    >>> from vaekit.recipes import build
    >>> model = build("vae", (6,), latent=2).model
    >>> aggregated(model, Batch(torch.rand(50, 6))).parts["z"].prior
    AggregatePosterior(rows=50, latent=2)
    """
    with seeded(seed, batch.x.device):
        numbers = torch.randperm(len(batch), device=batch.x.device)[:COMPONENTS]
    x, given = batch.x[numbers], {name: value[numbers] for name, value in batch.given.items()}
    with torch.no_grad(), evaluating(model):
        posterior = coordinates(model.posterior(x, given=given)[latent].distribution)
    if not isinstance(posterior, Normal):
        raise UsageError(f"the posterior of {latent!r} is not one of independent normals: keep the model's own prior")
    return with_prior(model, latent, AggregatePosterior(posterior.mean[0], posterior.stddev[0], numbers))
