"""Columns of counts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from vaekit.core.notation import at
from vaekit.families.columns.cells import (
    GroupCells,
    NumberCells,
)
from vaekit.families.columns.groups.group import Group, ScaleFor, starts
from vaekit.families.columns.marginal import Marginal
from vaekit.families.counts import NegativeBinomialDistribution, PoissonDistribution
from vaekit.families.scale import positive, unpositive
from vaekit.families.special import exponential


class CountGroup(Group):
    """Counts by their mean, the mean of the column times the exponential of what the net says."""

    of = "counts"

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        self.register_buffer("start", starts(marginals, 0), persistent=False)

    start: Tensor

    @property
    def width(self) -> int:
        return self.columns

    def forward(self, params: Tensor) -> GroupCells:
        return NumberCells(self.counts(self.start * exponential(params)))

    @abstractmethod
    def counts(self, mean: Tensor) -> Distribution:
        """The law of counts with this mean."""

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer


class PoissonGroup(CountGroup):
    """Counts whose variance is their mean."""

    def counts(self, mean: Tensor) -> Distribution:
        return PoissonDistribution(mean)

    def written(self, reads: str) -> str:
        return f"Poisson({at('r', reads)})"


class NegativeBinomialGroup(CountGroup):
    """Overdispersed counts, with a learned inverse dispersion for each column."""

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        self.raw = nn.Parameter(unpositive(starts(marginals, 1)))

    def counts(self, mean: Tensor) -> Distribution:
        return NegativeBinomialDistribution(mean, positive(self.raw))

    def written(self, reads: str) -> str:
        return f"NegativeBinomial(mean {at('m', reads)}, inverse dispersion r)"
