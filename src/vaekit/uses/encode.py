"""Encode: what a model says of the latents of given data."""

from __future__ import annotations

from torch import Tensor

from vaekit.common.chunks import by_rows
from vaekit.core import VAE
from vaekit.evaluate import posterior_means

encode = posterior_means


def encode_draws(model: VAE, x: Tensor, latent: str, draws: int) -> Tensor:
    """Draws of a latent from its posterior, `(draw, batch, *event)`."""
    return by_rows(lambda part: model.posterior(part, draws)[latent].value, x, axis=1)
