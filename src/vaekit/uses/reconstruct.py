"""Reconstruct: data as the model sees them, through their latents and back."""

from __future__ import annotations

from torch import Tensor

from vaekit.common.chunks import by_rows
from vaekit.core import VAE, Batch, centre


def reconstruct(model: VAE, batch: Batch) -> Tensor:
    """The mean of x given the posterior means of all latents, `(batch, *event)`."""
    return by_rows(lambda part: _through_means(model, part), batch)


def _through_means(model: VAE, batch: Batch) -> Tensor:
    drawn = model.posterior(batch.x, given=batch.given, take=centre)
    codes = {name: draw.value[0] for name, draw in drawn.items()}
    return model.sample(len(batch), {**batch.given, **codes}).mean
