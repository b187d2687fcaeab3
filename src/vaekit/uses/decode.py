"""Decode: what a model makes of latents."""

from __future__ import annotations

from torch import Tensor

from vaekit.common.chunks import by_rows
from vaekit.core import NOTHING, VAE, Batch, Context, learnt


def decode(model: VAE, codes: Tensor, latent: str, given: Context = NOTHING) -> Tensor:
    """The mean of x given a latent's codes, `(batch, *event)`; latents drawn after it come from their priors.

    What all rows share is drawn from its posterior.
    """

    def decoded(part: Batch) -> Tensor:
        return model.sample(len(part), {**learnt(model, len(part)), **part.given, latent: part.x}).mean

    return by_rows(decoded, Batch(codes, given))
