"""Reconstruct: data as the model sees them, through their latents and back."""

from __future__ import annotations

from torch import Tensor

from vaekit.common.chunks import by_rows
from vaekit.core import VAE, centre


def reconstruct(model: VAE, x: Tensor) -> Tensor:
    """The mean of x given the posterior means of all latents, `(batch, *event)`."""
    return by_rows(lambda part: _through_means(model, part), x)


def _through_means(model: VAE, x: Tensor) -> Tensor:
    codes = {name: draw.value[0] for name, draw in model.posterior(x, take=centre).items()}
    return model.sample(len(x), codes).mean
