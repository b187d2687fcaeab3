"""What an encoder sees of a table's row: numbers at unit scale, levels as vectors, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import torch
from torch import Tensor, nn

from vaekit.families.columns.cells import same
from vaekit.families.columns.marginal import Marginal
from vaekit.families.columns.warps import inward, outward, warp_of
from vaekit.families.transformed import Bijection

MOST_ONE_HOT = 32
"""Up to so many levels each has a feature of its own; of more levels, each has a learned vector."""
EMBEDDED = 12
"""The length of that vector."""
CALM = 4.0
"""As far as so many units from 0 numbers are seen as they are, and beyond it as their logarithm grows."""


class TableFeatures(nn.Module):
    r"""Turns rows of a table `(n, C)`, NaN where a cell is missing, into real vectors `(n, F)`.

    Numbers and counts are seen at unit scale, as their warps have them, with 0 for what is missing. Far outliers are
    drawn in, :math:`|y| > 4` to :math:`4 + \log(1 + |y| - 4)`, so that no row is so far out that it throws the net off;
    the likelihood scores it as it is. (It is for safety: on four sets of anomalies, one seed each, it
    changed nothing that could be told from chance.)

    Levels are one-hot up to 32, learned vectors above, zeros where they are missing; atoms of spiked numbers are
    one-hot too. Behind them stands for each column whether its cell is missing, times a learned gain: 1 at first where
    cells were missing in what the marginal was fitted to, else 0, so that a hole says nothing to a model that never
    saw one there.

    `features` is F.

    >>> age, paid = Marginal("normal", shape=(40.0, 10.0), holes=True), Marginal("bernoulli", 2, start=(0.5, 0.5))
    >>> TableFeatures((age, paid))(torch.tensor([[50.0, 1.0], [torch.nan, 0.0]]))
    tensor([[1., 0., 1., 0., 0.],
            [0., 1., 0., 1., 0.]], grad_fn=<CatBackward0>)
    """

    def __init__(self, marginals: Sequence[Marginal]) -> None:
        super().__init__()
        numbers = [place for place, marginal in enumerate(marginals) if not marginal.levels]
        many = [place for place, marginal in enumerate(marginals) if marginal.levels > MOST_ONE_HOT]
        parts = (_Numbers(marginals, numbers), _OneHot(marginals), _Embedded(marginals, many))
        self.parts = nn.ModuleList(part for part in parts if part.features)
        self.gain = nn.Parameter(torch.tensor([float(marginal.holes) for marginal in marginals]))
        self.features: int = sum(part.features for part in parts) + len(marginals)

    def forward(self, x: Tensor) -> Tensor:
        """The features `(n, F)` of rows `(n, C)`."""
        missing = x.isnan().to(x) * self.gain
        return torch.cat([*(part(x) for part in self.parts), missing], -1)


def at_unit_scale(warp: Bijection, x: Tensor, middle: Tensor) -> Tensor:
    """Numbers as the net sees them; 0, as for the middle, for what is missing, or the warp does not reach."""
    there = warp.support.check(x)
    return drawn_in(torch.where(there, inward(warp, torch.where(there, x, middle)), 0.0))


def drawn_in(y: Tensor) -> Tensor:
    """Numbers at unit scale, outliers drawn in.

    >>> drawn_in(torch.tensor([-1.0, 4.0, 1e6]))
    tensor([-1.0000,  4.0000, 17.8155])
    """
    beyond = (y.abs() - CALM).clamp(min=0)
    return y.clamp(-CALM, CALM) + y.sign() * beyond.log1p()


class _Numbers(nn.Module):
    """Columns of numbers, those of one warp side by side."""

    def __init__(self, marginals: Sequence[Marginal], places: Sequence[int]) -> None:
        super().__init__()
        kinds = sorted((marginals[at].warp, len(marginals[at].shape), at) for at in places)
        members = [[at for *_, at in kin] for _, kin in groupby(kinds, itemgetter(0, 1))]
        self.warps = nn.ModuleList(
            warp_of(marginals[kin[0]].warp, [marginals[at].shape for at in kin]) for kin in members
        )
        self.register_buffer("places", torch.tensor([at for *_, at in kinds]).long(), persistent=False)
        self.sizes = [len(kin) for kin in members]
        self.register_buffer("middle", self._middle(), persistent=False)
        self.features = len(places)

    places: Tensor
    middle: Tensor

    def _middle(self) -> Tensor:
        """What 0 at unit scale stands for, in each column."""
        warps = (warp for warp in self.warps if isinstance(warp, Bijection))
        found = [outward(warp, torch.zeros(size)) for warp, size in zip(warps, self.sizes, strict=True)]
        return torch.cat([*found, torch.zeros(0)])

    def forward(self, x: Tensor) -> Tensor:
        parts = x.index_select(-1, self.places).split(self.sizes, -1)
        middles = self.middle.split(self.sizes)
        warps = (warp for warp in self.warps if isinstance(warp, Bijection))
        return torch.cat([at_unit_scale(*each) for each in zip(warps, parts, middles, strict=True)], -1)


class _OneHot(nn.Module):
    """Values that are seen by themselves, few levels and atoms, all of them by one comparison."""

    def __init__(self, marginals: Sequence[Marginal]) -> None:
        super().__init__()
        pairs = [(at, value) for at, marginal in enumerate(marginals) for value in _by_themselves(marginal)]
        self.register_buffer("column", torch.tensor([at for at, _ in pairs]).long(), persistent=False)
        self.register_buffer("value", torch.tensor([value for _, value in pairs]), persistent=False)
        self.features = len(pairs)

    column: Tensor
    value: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return same(x.index_select(-1, self.column), self.value).to(x)


def _by_themselves(marginal: Marginal) -> Sequence[float]:
    """The values of a column that have a feature each."""
    few = marginal.levels if marginal.levels <= MOST_ONE_HOT else 0
    return [*map(float, range(few)), *marginal.atoms]


class _Embedded(nn.Module):
    """Columns of many levels: a learned vector for each level."""

    def __init__(self, marginals: Sequence[Marginal], places: Sequence[int]) -> None:
        super().__init__()
        levels = torch.tensor([marginals[at].levels for at in places]).long()
        self.register_buffer("places", torch.tensor(list(places)).long(), persistent=False)
        self.register_buffer("first", levels.cumsum(0) - levels, persistent=False)
        self.vectors = nn.Parameter(torch.randn(int(levels.sum()), EMBEDDED) / EMBEDDED**0.5)
        self.features = EMBEDDED * len(places)

    places: Tensor
    first: Tensor

    def forward(self, x: Tensor) -> Tensor:
        cells = x.index_select(-1, self.places)
        missing = cells.isnan()
        row = torch.where(missing, 0.0, cells).long() + self.first
        told = torch.nn.functional.embedding(row, self.vectors) * (~missing).unsqueeze(-1).to(x)
        return told.flatten(-2)
