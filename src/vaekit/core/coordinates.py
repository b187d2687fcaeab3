"""The coordinates of an event: those of a distribution that makes them independently, and sums over them."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent

from vaekit.core.context import LEAD


def coordinates(distribution: Distribution) -> Distribution | None:
    """The coordinates of a distribution whose event is made of independent ones, else None.

    >>> import torch
    >>> from torch.distributions import MultivariateNormal, Normal
    >>> coordinates(Independent(Normal(torch.zeros(1, 1, 3), 1.0), 1))
    Normal(loc: torch.Size([1, 1, 3]), scale: torch.Size([1, 1, 3]))
    >>> coordinates(MultivariateNormal(torch.zeros(3), torch.eye(3))) is None
    True
    """
    if not isinstance(distribution, Independent):
        return None
    base = distribution.base_dist
    return base if not base.event_shape else None


def over_coordinates(per_coordinate: Tensor) -> Tensor:
    """The sum over an event's coordinates, `(sample, batch)`."""
    return per_coordinate.flatten(LEAD).sum(LEAD)
