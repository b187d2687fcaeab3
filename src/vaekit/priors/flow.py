"""Priors that a flow learns."""

from __future__ import annotations

from collections.abc import Callable

from vaekit.flows import Bijection, Flow
from vaekit.priors.standard import EventShape, event_of_prior, standard_normal


def flow_prior(event_shape: EventShape, make: Callable[[int, int], Bijection]) -> Flow:
    """A standard normal seen through a bijection that is learned; of a map, through one of the vector of its values.

    Sources: Chen et al., 2017; Huang et al., 2017.

    Raises `UsageError` for an empty shape.

    >>> from vaekit.flows import maf
    >>> flow_prior(2, maf)({}).event_shape
    torch.Size([2])
    """
    shape = event_of_prior(event_shape)
    return Flow(standard_normal(shape), make(shape.numel(), 0))
