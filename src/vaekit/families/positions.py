"""Families over vectors, at each position of an event: the vector lies along the first event axis.

An event `(C, *positions)` is one vector of C for every position: a direction, a point of a simplex, one of C classes, a
code. An event that is a vector has one position; a feature map `(C, height, width)` has one for each pixel.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, kl_divergence
from torch.distributions.constraints import Constraint

from vaekit.core.context import LEAD
from vaekit.families.closed_form import kl_of

NONE = Size()


class Positionwise(Distribution):
    """One distribution of vectors at each position of an event, independent of each other: `(C, *positions)`.

    `base` has a batch shape that ends in the positions, and events `(C,)`.

    >>> from torch.distributions import Dirichlet
    >>> distribution = Positionwise(Dirichlet(torch.ones(5, 7, 7, 3)), positions=2)
    >>> distribution.batch_shape, distribution.event_shape, distribution.log_prob(distribution.sample()).shape
    (torch.Size([5]), torch.Size([3, 7, 7]), torch.Size([5]))
    """

    def __init__(self, base: Distribution, positions: int) -> None:
        self.base = base
        self.positions = positions
        self._cut = len(base.batch_shape) - positions
        event = Size((*base.event_shape, *base.batch_shape[self._cut :]))
        super().__init__(base.batch_shape[: self._cut], event, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws have a pathwise gradient."""
        return self.base.has_rsample

    @property
    def support(self) -> Constraint:
        """That of the base: of each vector."""
        assert self.base.support is not None
        return self.base.support

    def expand(self, batch_shape: Size, _instance: None = None) -> Positionwise:  # type: ignore[override]
        """The same distribution with its parameters broadcast."""
        wide = self.base.expand(Size((*batch_shape, *self.base.batch_shape[self._cut :])))
        return Positionwise(wide, self.positions)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), summed over positions."""
        return self._sum(self.base.log_prob(self.vectors(value)))

    def entropy(self) -> Tensor:
        """The entropy, summed over positions."""
        return self._sum(self.base.entropy())

    def sample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """A draw, without a gradient."""
        return self._event(self.base.sample(sample_shape))

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """A draw with a pathwise gradient."""
        return self._event(self.base.rsample(sample_shape))

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self._event(self.base.mean)

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate."""
        return self._event(self.base.variance)

    def vectors(self, value: Tensor) -> Tensor:
        """A value `(..., C, *positions)` with its vectors last, `(..., *positions, C)`."""
        return value.movedim(-self.positions - 1, -1)

    def _event(self, vectors: Tensor) -> Tensor:
        return vectors.movedim(-1, -self.positions - 1)

    def _sum(self, per_position: Tensor) -> Tensor:
        return per_position.flatten(-self.positions).sum(-1)


@kl_of(Positionwise, Positionwise)
def _kl_of_positions(p: Positionwise, q: Positionwise) -> Tensor:
    return p._sum(torch.as_tensor(kl_divergence(p.base, q.base)))


def vectors_last(params: Tensor) -> Tensor:
    """Parameters `(sample, batch, width, *positions)` with the vectors last, `(sample, batch, *positions, width)`."""
    return params.movedim(LEAD, -1)


def over_positions(base: Distribution, lead: int = LEAD) -> Distribution:
    """A distribution of vectors `(*lead, *positions)` as one of events `(C, *positions)`; `log_prob` is `(*lead)`."""
    positions = len(base.batch_shape) - lead
    return Independent(Positionwise(base, positions) if positions else base, 0, validate_args=False)
