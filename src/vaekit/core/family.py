"""Families: what turns the output of a net into a distribution."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint

from vaekit.core.context import LEAD
from vaekit.core.density import Density


class Family(nn.Module, ABC):
    """A map from unconstrained parameters to a distribution over events.

    A family says how many parameters an event needs (`width`), and reads them in equal blocks along the first
    event axis, `(k * C, ...) -> k x (C, ...)`: one rule for vectors and feature maps.
    """

    over_vectors: bool = False
    """Whether what lies along the first event axis hangs together: a vector, at each position of the axes behind it."""
    biased: bool = False
    """Whether draws have a gradient that is not the one of their expectation."""
    draws_noise: bool = False
    """Whether a density is an estimate, drawn anew whenever it is asked for."""

    @abstractmethod
    def width(self, event_shape: Size) -> int:
        """Length of the first axis of the parameters of an event of this shape."""

    @abstractmethod
    def forward(self, params: Tensor) -> Distribution:
        """The distribution with these parameters, `(sample, batch, width, *rest)`."""

    @property
    @abstractmethod
    def support(self) -> Constraint:
        """The values the family can explain."""

    @abstractmethod
    def density(self, x: Tensor) -> Density:
        """What `log_prob` is a density of, for data like `x`."""

    def params_shape(self, event_shape: Size) -> Size:
        """The shape of the parameters of one event."""
        return Size((self.width(event_shape), *event_shape[1:]))


def over_event(distribution: Distribution) -> Distribution:
    """Independent coordinates joined into one event: `log_prob` sums over them and is `(sample, batch)`."""
    joined = len(distribution.batch_shape) - LEAD
    return Independent(distribution, joined, validate_args=False)
