"""Encode: what a model says of the latents of given data."""

from __future__ import annotations

from torch import Tensor

from vaekit.common.chunks import by_rows
from vaekit.core import VAE, Batch
from vaekit.evaluate import posterior_means

encode = posterior_means


def encode_draws(model: VAE, batch: Batch, latent: str, draws: int) -> Tensor:
    """Draws of a latent from its posterior, `(draw, batch, *event)`."""
    return by_rows(lambda part: model.posterior(part.x, draws, part.given)[latent].value, batch, axis=1)
