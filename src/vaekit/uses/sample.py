"""Sample: new data from the model."""

from __future__ import annotations

import torch
from torch import Tensor

from vaekit.common.chunks import by_rows
from vaekit.core import NOTHING, VAE, Batch, Context, learnt


def sample(model: VAE, n: int, given: Context = NOTHING) -> Tensor:
    """`n` draws of x from the model, `(n, *event)`: latents from their priors, then x from its likelihood."""
    return by_rows(lambda part: model.sample(len(part), part.given).draw(), _nothing_but(given, model, n))


def sample_means(model: VAE, n: int, given: Context = NOTHING) -> Tensor:
    """The mean of x for `n` draws of the latents from their priors: samples without the likelihood's noise."""
    return by_rows(lambda part: model.sample(len(part), part.given).mean, _nothing_but(given, model, n))


@torch.no_grad()
def _nothing_but(given: Context, model: VAE, n: int) -> Batch:
    """A batch of n examples of which only the conditions are known, and what the data have taught of all rows."""
    return Batch(torch.empty(n, 0), {**learnt(model, n), **given})
