"""Encode: what a model says of the latents of given data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaekit.common.chunks import ROWS, by_rows
from vaekit.core import VAE, Batch, centre
from vaekit.evaluate import posterior_means
from vaekit.train.means import evaluating
from vaekit.uses.alone import each_alone

encode = posterior_means


def encode_draws(model: VAE, batch: Batch, latent: str, draws: int) -> Tensor:
    """Draws of a latent from its posterior, `(draw, batch, *event)`."""

    def drawn(part: Batch) -> Tensor:
        value = model.posterior(part.x, draws, part.given)[latent].value
        return value.expand(draws, len(part), *value.shape[2:])

    return by_rows(drawn, batch, axis=1)


def encode_each(model: VAE, batch: Batch, latent: str, prepare: Callable[[Tensor], Tensor], seed: int = 0) -> Tensor:
    """The posterior mean of a latent for each stored row as if it were alone, `(n, *event)`; `prepare` encodes it."""

    def mean(one: Batch) -> Tensor:
        drawn = model.posterior(prepare(one.x), given=one.given, take=centre)
        return drawn[latent].value[0, 0]

    with evaluating(model):
        return torch.cat([each_alone(mean, part, seed) for part in batch.split(ROWS)])
