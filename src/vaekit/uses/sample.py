"""Sample: new data from the model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaekit.common.chunks import ROWS
from vaekit.core import VAE


def sample(model: VAE, n: int) -> Tensor:
    """`n` draws of x from the model, `(n, *event)`: latents from their priors, then x from its likelihood."""
    return _in_parts(lambda size: model.sample(size).draw(), n)


def sample_means(model: VAE, n: int) -> Tensor:
    """The mean of x for `n` draws of the latents from their priors: samples without the likelihood's noise."""
    return _in_parts(lambda size: model.sample(size).mean, n)


def _in_parts(make: Callable[[int], Tensor], n: int) -> Tensor:
    sizes = [ROWS] * (n // ROWS) + ([n % ROWS] if n % ROWS else [])
    with torch.no_grad():
        return torch.cat([make(size) for size in sizes])
