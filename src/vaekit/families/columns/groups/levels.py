"""Columns of levels, in an order or none."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions.constraints import Constraint

from vaekit.core.notation import at
from vaekit.families.categorical import CodeDistribution, LearnedCutpoints, ordinal_log_masses
from vaekit.families.columns.cells import (
    GroupCells,
    LevelCells,
    binary_logits,
    median,
    most_probable,
)
from vaekit.families.columns.groups.group import Group, ScaleFor
from vaekit.families.columns.marginal import Marginal
from vaekit.families.scale import positive, unpositive
from vaekit.families.supports import WholeUpTo


class LevelGroup(Group):
    """Levels by the shares that they have in the column, and what the net adds to the logarithms of these."""

    of = "levels"

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        self.register_buffer("top", torch.tensor([marginal.levels - 1.0 for marginal in marginals]), persistent=False)
        self.register_buffer("start", log_shares(marginals), persistent=False)

    top: Tensor
    start: Tensor

    @property
    def support(self) -> Constraint:
        return WholeUpTo(self.top)


class BernoulliGroup(LevelGroup):
    """Two levels."""

    @property
    def width(self) -> int:
        return self.columns

    def forward(self, params: Tensor) -> GroupCells:
        logit = params + self.start[:, 1] - self.start[:, 0]
        return LevelCells(CodeDistribution(binary_logits(logit)), most_probable)

    def written(self, reads: str) -> str:
        return f"Bernoulli({at('π', reads)})"


class CategoricalGroup(LevelGroup):
    """Levels without an order, a logit for each; columns of about as many levels are in one group."""

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        counts = torch.tensor([marginal.levels for marginal in marginals])
        first = (counts.cumsum(0) - counts).unsqueeze(1)
        own = torch.arange(int(counts.max()))
        place = torch.where(own < counts.unsqueeze(1), first + own, 0).flatten()
        self.register_buffer("place", place, persistent=False)
        self._width = int(counts.sum())

    place: Tensor

    @staticmethod
    def kin(marginal: Marginal) -> Hashable:
        """Columns of a group have the same number of levels up to a factor of 2, to which they are padded."""
        return (marginal.levels - 1).bit_length()

    @property
    def width(self) -> int:
        return self._width

    def forward(self, params: Tensor) -> GroupCells:
        padded = params.index_select(-1, self.place).unflatten(-1, (self.columns, -1))
        return LevelCells(CodeDistribution(padded + self.start), most_probable)

    def written(self, reads: str) -> str:
        return f"Categorical({at('π', reads)})"


class LowRankCategoricalGroup(LevelGroup):
    r"""Many levels: the net gives a short vector h, and :math:`\log \pi = E h + b` up to its normaliser.

    E, `(columns, levels, rank)`, and b are the group's own, so that the net does not grow with the levels.
    """

    rank: ClassVar[int] = 16

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        levels = self.start.shape[-1]
        self.embedding = nn.Parameter(torch.randn(self.columns, levels, self.rank) / self.rank**0.5)
        self.bias = nn.Parameter(torch.zeros(self.columns, levels))

    @staticmethod
    def kin(marginal: Marginal) -> Hashable:
        """As of few levels."""
        return CategoricalGroup.kin(marginal)

    @property
    def width(self) -> int:
        return self.rank * self.columns

    def forward(self, params: Tensor) -> GroupCells:
        told = params.unflatten(-1, (self.columns, self.rank))
        logits = torch.einsum("sbcr,clr->sbcl", told, self.embedding) + self.bias + self.start
        return LevelCells(CodeDistribution(logits), most_probable)

    def written(self, reads: str) -> str:
        return f"Categorical(softmax(E {at('h', reads)} + b))"


class OrdinalGroup(LevelGroup):
    """Levels in an order: where a logistic score falls between learned cutpoints of the column."""

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        self.cutpoints = LearnedCutpoints(marginals[0].levels, (self.columns,))
        with torch.no_grad():
            self.cutpoints.raw.copy_(raw_cutpoints(self.start.double().exp()))

    @staticmethod
    def kin(marginal: Marginal) -> Hashable:
        """Columns of a group have as many levels."""
        return marginal.levels

    @property
    def width(self) -> int:
        return self.columns

    def forward(self, params: Tensor) -> GroupCells:
        first, gaps = self.cutpoints(params)
        return LevelCells(CodeDistribution(ordinal_log_masses(first, positive(gaps))), median)

    def written(self, reads: str) -> str:
        return f"Ordinal({self.cutpoints.written(reads)})"


def log_shares(marginals: Sequence[Marginal]) -> Tensor:
    """The logarithms of shares, padded with -inf to the greatest number of levels, `(columns, levels)`."""
    shares = [torch.tensor(marginal.start, dtype=torch.float64).log() for marginal in marginals]
    padded = nn.utils.rnn.pad_sequence(shares, batch_first=True, padding_value=-torch.inf)
    return padded.to(torch.get_default_dtype())


def raw_cutpoints(shares: Tensor) -> Tensor:
    """The parameters of `LearnedCutpoints` at which levels have these shares, `(columns, levels)`."""
    below, above = shares.cumsum(-1)[..., :-1], shares.flip(-1).cumsum(-1).flip(-1)[..., 1:]
    cuts = below.log() - above.log()
    return torch.cat([cuts[..., :1], unpositive(cuts.diff(dim=-1).clamp(min=1e-4))], -1)
