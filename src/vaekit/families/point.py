"""A posterior that is a point: the code of an autoencoder that is not variational."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from vaekit.core.density import Density
from vaekit.core.family import Family, over_event

NONE = Size()


class Delta(Family):
    r"""All the mass on the encoder's output, :math:`q(z \mid x) = \delta(z - f(x))`.

    `log_prob` is the logarithm of the mass on a value, 0 at the point: no density. So the "ELBO" of a model with such
    a posterior is log p(x, z) at the code, which is no bound of log p(x), and no draw of it is a proposal to estimate
    log p(x) from.

    >>> posterior = Delta()(torch.tensor([[[0.3, -1.0]]]))
    >>> posterior.rsample(), posterior.log_prob(posterior.rsample())
    (tensor([[[ 0.3000, -1.0000]]]), tensor([[0.]]))
    """

    def width(self, event_shape: Size) -> int:
        return event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        return over_event(PointMass(params))

    @property
    def support(self) -> Constraint:
        return constraints.real

    def density(self, x: Tensor) -> Density:
        return Density("codes", "point mass", is_likelihood=False)


class PointMass(Distribution):
    """The mass 1 on one value.

    >>> PointMass(torch.tensor(2.0)).log_prob(torch.tensor([2.0, 2.1]))
    tensor([0., -inf])
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape, validate_args=False)

    def expand(self, batch_shape: Size, _instance: None = None) -> PointMass:  # type: ignore[override]
        """The same point for more."""
        return PointMass(self.loc.expand(batch_shape))

    @property
    def mean(self) -> Tensor:
        """The point."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """0."""
        return torch.zeros_like(self.loc)

    def entropy(self) -> Tensor:
        """0."""
        return torch.zeros_like(self.loc)

    def log_prob(self, value: Tensor) -> Tensor:
        """0 at the point, -inf elsewhere."""
        return torch.where(value == self.loc, 0.0, -torch.inf).to(self.loc.dtype)

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """The point, with its gradient."""
        return self.loc.expand(self._extended_shape(Size(sample_shape)))
