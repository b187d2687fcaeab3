"""A group: columns of one family, explained together by one kernel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions.constraints import Constraint

from vaekit.families.columns.cells import (
    GroupCells,
)
from vaekit.families.columns.marginal import Marginal
from vaekit.families.scale import Scale

ScaleFor = Callable[[Size], Scale]
"""Where the scales of so many columns come from: `Learned`, one for each column, or predicted by the decoder."""

FLOOR = 0.01
"""The smallest scale of a column of numbers, in units of its own at unit scale."""


class Group(nn.Module, ABC):
    """Columns of one family: reads the group's share of the net's output, answers with their cells.

    Where the net says 0 and nothing has been learned, each column has the distribution that was fitted to it.
    """

    of: ClassVar[str]
    """What the columns hold, in words."""

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__()
        self.columns = len(marginals)

    @staticmethod
    def kin(marginal: Marginal) -> Hashable:
        """What columns of the family must have in common to be in one group."""
        return None

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers it reads for each row."""

    @abstractmethod
    def forward(self, params: Tensor) -> GroupCells:
        """The cells, from `(sample, batch, width)`."""

    @property
    @abstractmethod
    def support(self) -> Constraint:
        """The values that cells may hold, missing ones aside."""

    @property
    def stand_in(self) -> Tensor:
        """A value of each column that stands for what is missing or outside the support, `(columns,)`."""
        return torch.zeros(self.columns)

    @abstractmethod
    def written(self, reads: str) -> str:
        """One column's law as a term of what the net reads."""


def starts(marginals: Sequence[Marginal], which: int) -> Tensor:
    """A number of what each column starts at, `(columns,)`."""
    return torch.tensor([marginal.start[which] for marginal in marginals])
