"""Traverse: what changes when one latent coordinate does."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Context
from vaekit.train.means import evaluating

PRIOR_DRAWS = 1000
"""Draws from which the prior's centre and spread are found: any prior can be drawn from."""


def traversal(code: Tensor, coordinate: int, values: Tensor) -> Tensor:
    """Copies of a code `(*event)` with one coordinate set to each of the values, `(value, *event)`.

    >>> import torch
    >>> traversal(torch.zeros(3), 1, torch.tensor([-1.0, 1.0])).tolist()
    [[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]]
    """
    codes = code.flatten().repeat(len(values), 1)
    codes[:, coordinate] = values
    return codes.reshape(len(values), *code.shape)


def prior_scale(model: VAE, latent: str, given: Context, draws: int = PRIOR_DRAWS) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each coordinate of a latent under its prior, `(*event)` each, on the CPU.

    Args:
        model: the model; it is not changed.
        latent: the name of the latent.
        given: what the model reads beside the latents, for as many examples as there are draws.
        draws: from torch's current generator.

    >>> from vaekit.recipes import build
    >>> centre, spread = prior_scale(build("vae", (6,), latent=2).model, "z", {}, draws=4000)
    >>> bool((centre.abs() < 0.1).all() and ((spread - 1).abs() < 0.1).all())
    True
    """
    with evaluating(model):
        drawn = model.sample(draws, given).latent(latent).cpu()
    return drawn.mean(0), drawn.std(0)


def traversals(code: Tensor, coordinates: Sequence[int], centre: Tensor, spread: Tensor, at: Tensor) -> Tensor:
    """A code with each of these coordinates at `centre + spread at`, `(coordinate, step, *event)`.

    Args:
        code: where the ways start, `(*event)`.
        coordinates: their places in the code, flattened; all of them if none is named.
        centre: of each coordinate, `(*event)`.
        spread: of each coordinate, `(*event)`.
        at: the steps, in units of the spread.

    Raises `UsageError` for a coordinate that the code has not.

    >>> traversals(torch.zeros(2), (1,), torch.ones(2), torch.full((2,), 2.0), torch.tensor([-1.0, 1.0])).tolist()
    [[[0.0, -1.0], [0.0, 3.0]]]
    """
    chosen = coordinates or range(code.numel())
    wrong = next((d for d in chosen if not 0 <= d < code.numel()), None)
    if wrong is not None:
        raise UsageError(f"there is no coordinate {wrong}: the code has {code.numel()}, from 0")
    middle, width = centre.flatten(), spread.flatten()
    return torch.stack([traversal(code, d, middle[d] + width[d] * at) for d in chosen])
