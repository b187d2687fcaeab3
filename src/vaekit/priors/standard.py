"""The standard normal prior."""

from __future__ import annotations

import torch
from torch import Size
from torch.distributions import Normal

from vaekit.common.errors import UsageError
from vaekit.core.conditional import Fixed


def standard_normal(event_shape: int | Size | tuple[int, ...]) -> Fixed:
    r"""p(z) = N(0, I) over a vector of this length, or an event of this shape.

    Raises `UsageError` for an empty shape.

    >>> float(standard_normal(2)({}).log_prob(torch.zeros(2)))  # -log(2 pi)
    -1.837877...
    """
    shape = (event_shape,) if isinstance(event_shape, int) else tuple(event_shape)
    if not shape or min(shape) < 1:
        raise UsageError(f"a latent of shape {shape} has no coordinates: give it a size of at least 1")
    return Fixed(Normal, loc=torch.zeros(shape), scale=torch.ones(shape))
