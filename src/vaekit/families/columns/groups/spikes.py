"""Columns in which some values come again and again: atoms, and a law for the rest."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from vaekit.core.notation import at
from vaekit.families.columns.cells import (
    GroupCells,
    NumberCells,
    Spiked,
    same,
)
from vaekit.families.columns.groups.group import Group, ScaleFor
from vaekit.families.columns.groups.levels import log_shares
from vaekit.families.columns.groups.numbers import NormalGroup, RoundedGroup, WarpedGroup
from vaekit.families.columns.marginal import Marginal


class SpikedGroup(Group):
    """Columns that often have exactly one of a few values, their atoms, and follow another law otherwise.

    Args:
        marginals: of the columns.
        scale: where scales come from.
        rest: the group of the other law.
    """

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor, rest: type[NormalGroup | RoundedGroup]) -> None:
        super().__init__(marginals, scale)
        self.rest = rest(marginals, scale)
        atoms = torch.tensor([marginal.atoms for marginal in marginals])
        self.register_buffer("atoms", atoms, persistent=False)
        self.register_buffer("start", log_shares(marginals), persistent=False)
        self.register_buffer("middle", self.rest.stand_in, persistent=False)

    atoms: Tensor
    start: Tensor
    middle: Tensor

    @staticmethod
    def kin(marginal: Marginal) -> Hashable:
        """Columns of a group have the same warp and as many atoms."""
        return WarpedGroup.kin(marginal), len(marginal.atoms)

    @property
    def of(self) -> str:  # type: ignore[override]
        """What the columns hold, in words."""
        return f"{self.rest.of} with atoms"

    @property
    def width(self) -> int:
        return self.rest.width + self.start.numel()

    def forward(self, params: Tensor) -> GroupCells:
        head, gates = params.split([self.rest.width, self.start.numel()], -1)
        logits = gates.unflatten(-1, tuple(self.start.shape)) + self.start
        return NumberCells(Spiked(logits, self.atoms, self.rest(head).scalars, self.middle))

    @property
    def support(self) -> Constraint:
        return AtomsOr(self.rest.support, self.atoms)

    @property
    def stand_in(self) -> Tensor:
        """As the other law has it."""
        return self.middle

    def written(self, reads: str) -> str:
        share = at("π", reads)
        return f"{share} δ(atoms) + (1 − {share}) {self.rest.written(reads)}"


class SpikedNumbers(SpikedGroup):
    """Numbers that are often exactly one of a few values, and otherwise normal at unit scale."""

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale, NormalGroup)


class SpikedCounts(SpikedGroup):
    """Counts that are often exactly one of a few, and otherwise rounded from numbers normal at unit scale."""

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale, RoundedGroup)


class AtomsOr(Constraint):
    """The atoms of a column, or values of another constraint."""

    def __init__(self, other: Constraint, atoms: Tensor) -> None:
        self.other, self.atoms = other, atoms
        super().__init__()

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Whether the other values are."""
        return bool(self.other.is_discrete)

    def check(self, value: Tensor) -> Tensor:
        inside: Tensor = self.other.check(value)
        return inside | same(value.unsqueeze(-1), self.atoms.to(value)).any(-1)

    def __repr__(self) -> str:
        return f"{self.other}, or an atom"
