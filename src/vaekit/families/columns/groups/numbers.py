"""Columns of numbers: normal, Student-t or many-peaked at unit scale, or rounded to counts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Normal as NormalDistribution
from torch.distributions import constraints
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import Transform

from vaekit.core.notation import at
from vaekit.families.columns.cells import (
    GroupCells,
    NumberCells,
    Rounded,
    Warped,
)
from vaekit.families.columns.groups.group import FLOOR, Group, ScaleFor, starts
from vaekit.families.columns.marginal import Marginal
from vaekit.families.columns.peaks import Places, peaks_of
from vaekit.families.columns.warps import outward, warp_of
from vaekit.families.continuous import StudentTDistribution
from vaekit.families.scale import positive, unpositive


class WarpedGroup(Group):
    """Columns that a law of values at unit scale explains behind a warp."""

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        self.warp = warp_of(marginals[0].warp, [marginal.shape for marginal in marginals])
        self.spread = scale(Size((self.columns,)))

    @staticmethod
    def kin(marginal: Marginal) -> Hashable:
        """Columns of a group have the same warp, and as many numbers in it."""
        return marginal.warp, len(marginal.shape)

    @property
    def width(self) -> int:
        return self.spread.blocks * self.columns

    def forward(self, params: Tensor) -> NumberCells[Warped | Rounded]:
        loc, scale = self.spread(params)
        return NumberCells(self.law(loc, FLOOR + (1 - FLOOR) * scale, self.warp.transforms(params)))

    @abstractmethod
    def law(self, loc: Tensor, scale: Tensor, transforms: list[Transform]) -> Warped | Rounded:
        """The law of the columns by location and scale at unit scale, and the way from there."""

    @property
    def stand_in(self) -> Tensor:
        """What 0 at unit scale stands for, as a value in the support."""
        return outward(self.warp, torch.zeros(self.columns))

    def normal(self, reads: str) -> str:
        """A normal as a term of what the net reads."""
        return f"N({at('μ', reads)}, {self.spread.named('σ', reads)}²)"


class NormalGroup(WarpedGroup):
    """Numbers that are normal at unit scale."""

    of = "real values"

    def law(self, loc: Tensor, scale: Tensor, transforms: list[Transform]) -> Warped:
        return warped_normal(loc, scale, transforms)

    @property
    def support(self) -> Constraint:
        return self.warp.support

    def written(self, reads: str) -> str:
        return self.normal(reads)


class PeaksGroup(Group):
    """Numbers that pile up around several places: a mixture of normals at those of the column, whose weights the net
    says, and how far they are moved together; each column learns how narrow they are.
    """

    of = "real values"

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        self.places = Places(marginals)
        self.narrowing = nn.Parameter(torch.zeros(self.columns, 1))

    @staticmethod
    def kin(marginal: Marginal) -> Hashable:
        """Columns of a group have as many peaks."""
        return len(marginal.start)

    @property
    def width(self) -> int:
        return self.places.means.numel() + self.columns

    def forward(self, params: Tensor) -> GroupCells:
        return peaks_of(self.places, self.narrowing, params)

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def stand_in(self) -> Tensor:
        """The first peak."""
        return self.places.means[:, 0]

    def written(self, reads: str) -> str:
        return f"Σₖ {at('πₖ', reads)} N(mₖ + {at('δ', reads)} sₖ, sₖ²)"


class StudentTGroup(WarpedGroup):
    """Numbers with outliers: Student t at unit scale, with learned degrees of freedom above 2 for each column."""

    of = "real values"

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        self.excess = nn.Parameter(unpositive(starts(marginals, 0)))

    def law(self, loc: Tensor, scale: Tensor, transforms: list[Transform]) -> Warped:
        return Warped(StudentTDistribution(loc, scale, 2 + positive(self.excess)), transforms, validate_args=False)

    @property
    def support(self) -> Constraint:
        return self.warp.support

    def written(self, reads: str) -> str:
        return f"StudentT({at('m', reads)}, {self.spread.named('s', reads)}, ν)"


class RoundedGroup(WarpedGroup):
    """Counts rounded from numbers that are normal at unit scale: their variance is not tied to their mean."""

    of = "counts"

    def law(self, loc: Tensor, scale: Tensor, transforms: list[Transform]) -> Rounded:
        return Rounded(warped_normal(loc, scale, transforms))

    @property
    def stand_in(self) -> Tensor:
        """What 0 at unit scale stands for, rounded."""
        return super().stand_in.round().clamp(min=0)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    def written(self, reads: str) -> str:
        return f"round {self.normal(reads)}"


def warped_normal(loc: Tensor, scale: Tensor, transforms: list[Transform]) -> Warped:
    """A normal at unit scale behind a warp."""
    return Warped(NormalDistribution(loc, scale, validate_args=False), transforms, validate_args=False)
