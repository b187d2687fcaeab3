"""What own distributions of independent scalars share, and what families with a second, positive parameter share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaekit.core.family import Family, over_event
from vaekit.families.scale import Predicted, Scale

Shape = Size | list[int] | tuple[int, ...]
NO_SHAPE = Size()


class Scalars(Distribution, ABC):
    """Independent scalars. A kind gives its `support`, the log-density inside it, and draws of a given shape.

    Outside the support the log-density is -inf, with no gradient.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support: Constraint
    somewhere: ClassVar[float] = 1.0
    """A value inside the support."""

    def __init__(self, batch_shape: Size) -> None:
        super().__init__(batch_shape, validate_args=False)

    @abstractmethod
    def log_inside(self, value: Tensor) -> Tensor:
        """The log-density of values inside the support."""

    @abstractmethod
    def drawn(self, shape: Size) -> Tensor:
        """Draws of a shape that ends in the batch shape."""

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of values, -inf outside the support."""
        inside = self.support.check(value)
        log_density = self.log_inside(torch.where(inside, value, self.somewhere))
        return torch.where(inside, log_density, -torch.inf)

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Draws, without a gradient."""
        with torch.no_grad():
            return self.drawn(self._extended_shape(Size(sample_shape)))


class Elementwise(Scalars):
    """Independent scalars, one for each element of parameters that are broadcast to each other."""

    def __init__(self, *params: Tensor) -> None:
        self.params: tuple[Tensor, ...] = tuple(torch.broadcast_tensors(*params))
        super().__init__(self.params[0].shape)

    def expand(self, batch_shape: Shape, _instance: None = None) -> Self:
        """The same distribution with its parameters broadcast."""
        return type(self)(*(param.expand(batch_shape) for param in self.params))

    def wide(self, shape: Size) -> list[Tensor]:
        """The parameters broadcast to a shape."""
        return [param.expand(shape) for param in self.params]


class Pathwise(Elementwise):
    """Independent scalars whose draws have a gradient with respect to the parameters."""

    has_rsample = True

    def rsample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Draws with a pathwise gradient."""
        return self.drawn(self._extended_shape(Size(sample_shape)))


class Dispersed(Family):
    """Independent scalars with a location and a positive number: a scale, a shape, a concentration.

    Where that number comes from is a `Scale`: predicted by the net for each value, learned (one, or one for each
    dimension), or known. The location is the first block of the parameters, the predicted number the second.
    """

    def __init__(self, spread: Scale | None = None) -> None:
        super().__init__()
        self.spread = Predicted() if spread is None else spread

    def width(self, event_shape: Size) -> int:
        return self.spread.blocks * event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        return over_event(self.scalars(*self.spread(params)))

    @abstractmethod
    def scalars(self, location: Tensor, spread: Tensor) -> Distribution:
        """The distribution of the scalars, from the unconstrained location and the positive spread."""
