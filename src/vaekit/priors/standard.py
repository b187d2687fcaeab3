"""Priors that are known beforehand: the standard normal and the Laplace distribution."""

from __future__ import annotations

import torch
from torch import Size
from torch.distributions import Laplace, Normal

from vaekit.common.errors import UsageError
from vaekit.core.conditional import Fixed

EventShape = int | Size | tuple[int, ...]


def event_of_prior(event_shape: EventShape) -> Size:
    """The shape of a latent, of a length or a shape; refused where it has no coordinates."""
    shape = (event_shape,) if isinstance(event_shape, int) else tuple(event_shape)
    if not shape or min(shape) < 1:
        raise UsageError(f"a latent of shape {shape} has no coordinates: give it a size of at least 1")
    return Size(shape)


def standard_normal(event_shape: EventShape) -> Fixed:
    r"""p(z) = N(0, I) over a vector of this length, or an event of this shape.

    Raises `UsageError` for an empty shape.

    >>> float(standard_normal(2)({}).log_prob(torch.zeros(2)))  # -log(2 pi)
    -1.837877...
    """
    shape = event_of_prior(event_shape)
    return Fixed(Normal, loc=torch.zeros(shape), scale=torch.ones(shape))


def laplace(event_shape: EventShape) -> Fixed:
    r"""Independent Laplace coordinates, :math:`p(z) = \prod_d e^{-|z_d|} / 2`: sparse, with variance 2.

    Raises `UsageError` for an empty shape.

    >>> float(laplace(2)({}).log_prob(torch.zeros(2)).exp())  # (1/2)^2
    0.25
    """
    shape = event_of_prior(event_shape)
    return Fixed(Laplace, loc=torch.zeros(shape), scale=torch.ones(shape))
