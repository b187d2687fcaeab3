"""Counts that share a total, such as the words of a document: the multinomial family."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import at

NONE = Size()


class Multinomial(Family):
    r"""Counts of D kinds given how many there are in all, :math:`p(x) = n! \prod_d \pi_d^{x_d} / x_d!`.

    Parameters are the logits of the shares pi. Each row has its own total n, the sum of its counts, which is taken as
    known: the density is one of which kinds they are. `total` is that of the rows that are made up.

    Raises `UsageError` for a total below 1, and for an event that is not a vector.

    >>> fair = Multinomial(total=2)(torch.zeros(1, 1, 2))
    >>> fair.log_prob(torch.tensor([1.0, 1.0])).exp(), fair.log_prob(torch.tensor([1.0, 0.0])).exp()
    (tensor([[0.5000]]), tensor([[0.5000]]))
    """

    def __init__(self, total: int = 100) -> None:
        super().__init__()
        if total < 1:
            raise UsageError(f"a total of {total}: rows that are made up have at least 1 count")
        self.total = total

    def width(self, event_shape: Size) -> int:
        if len(event_shape) != 1:
            raise UsageError(f"counts that share a total are a vector, not an event of shape {tuple(event_shape)}")
        return event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        return CountsOfTotal(params, self.total)

    def written(self, reads: str) -> str:
        return f"Multinomial(n, {at('π', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    def density(self, x: Tensor) -> Density:
        return Density("counts given their total", "probability mass")

    def extra_repr(self) -> str:
        return f"total={self.total}"


class CountsOfTotal(Distribution):
    """Multinomial by logits `(*batch, D)`; `log_prob` is given each value's own total, draws have `total`."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.nonnegative_integer

    def __init__(self, logits: Tensor, total: int) -> None:
        self.log_share, self.total = logits.log_softmax(-1), total
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Size, _instance: None = None) -> CountsOfTotal:  # type: ignore[override]
        """The same distribution with its parameters broadcast."""
        return CountsOfTotal(self.log_share.expand(*batch_shape, *self.event_shape), self.total)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value | its total)."""
        ways: Tensor = torch.lgamma(value.sum(-1) + 1) - torch.lgamma(value + 1).sum(-1)
        return ways + torch.where(value > 0, value * self.log_share, 0.0).sum(-1)

    @property
    def mean(self) -> Tensor:
        """Total times shares."""
        return self.total * self.log_share.exp()

    @property
    def variance(self) -> Tensor:
        """That of each count, n pi (1 - pi)."""
        share = self.log_share.exp()
        return self.total * share * (1 - share)

    def sample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Counts that sum to the total."""
        shape = self._extended_shape(Size(sample_shape))
        share = self.log_share.exp().expand(shape).reshape(-1, shape[-1])
        kinds = torch.multinomial(share, self.total, replacement=True)
        return torch.zeros_like(share).scatter_add_(1, kinds, torch.ones_like(kinds, dtype=share.dtype)).reshape(shape)
