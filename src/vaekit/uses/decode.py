"""Decode: what a model makes of latents."""

from __future__ import annotations

from torch import Tensor

from vaekit.common.chunks import by_rows
from vaekit.core import VAE


def decode(model: VAE, latent: str, values: Tensor) -> Tensor:
    """The mean of x given a latent, `(batch, *event)`; latents drawn after it come from their priors."""
    return by_rows(lambda part: model.sample(len(part), {latent: part}).mean, values)
