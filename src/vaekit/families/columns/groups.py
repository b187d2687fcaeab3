"""Groups: columns of one family, explained together by one kernel; and the registry of the families of columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions import Normal as NormalDistribution
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import Transform

from vaekit.common.registry import Registry
from vaekit.core.notation import at
from vaekit.families.categorical import CodeDistribution, LearnedCutpoints, ordinal_log_masses
from vaekit.families.columns.cells import (
    GroupCells,
    LevelCells,
    NumberCells,
    Rounded,
    Spiked,
    Warped,
    binary_logits,
    median,
    most_probable,
    same,
)
from vaekit.families.columns.marginal import Marginal
from vaekit.families.columns.peaks import Places, peaks_of
from vaekit.families.columns.warps import outward, warp_of
from vaekit.families.continuous import StudentTDistribution
from vaekit.families.counts import NegativeBinomialDistribution, PoissonDistribution
from vaekit.families.scale import Scale, positive, unpositive
from vaekit.families.special import exponential
from vaekit.families.supports import WholeUpTo

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
        self.excess = nn.Parameter(unpositive(_starts(marginals, 0)))

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


class CountGroup(Group):
    """Counts by their mean, the mean of the column times the exponential of what the net says."""

    of = "counts"

    def __init__(self, marginals: Sequence[Marginal], scale: ScaleFor) -> None:
        super().__init__(marginals, scale)
        self.register_buffer("start", _starts(marginals, 0), persistent=False)

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
        self.raw = nn.Parameter(unpositive(_starts(marginals, 1)))

    def counts(self, mean: Tensor) -> Distribution:
        return NegativeBinomialDistribution(mean, positive(self.raw))

    def written(self, reads: str) -> str:
        return f"NegativeBinomial(mean {at('m', reads)}, inverse dispersion r)"


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


def _starts(marginals: Sequence[Marginal], which: int) -> Tensor:
    return torch.tensor([marginal.start[which] for marginal in marginals])


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


COLUMN_FAMILIES: Registry[type[Group]] = Registry(
    "column family",
    {
        "normal": NormalGroup,
        "student_t": StudentTGroup,
        "peaks": PeaksGroup,
        "spiked": SpikedNumbers,
        "rounded": RoundedGroup,
        "spiked_counts": SpikedCounts,
        "poisson": PoissonGroup,
        "negative_binomial": NegativeBinomialGroup,
        "bernoulli": BernoulliGroup,
        "categorical": CategoricalGroup,
        "low_rank_categorical": LowRankCategoricalGroup,
        "ordinal": OrdinalGroup,
    },
)
"""The families of columns by name; a log-normal is a normal behind the warp `log`."""
