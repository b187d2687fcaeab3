"""Missing cells: families that leave them out, and what a distribution of separate cells can say of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeGuard

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import term
from vaekit.families.categorical import CodeDistribution
from vaekit.families.scalars import NO_SHAPE, Shape

STAND_IN = 128 / 255
"""What stands for a missing value while a density is computed that is then left out: a grey, a share, a number."""


class Cells(Protocol):
    """A distribution of cells that are independent of each other, and so says something of each by itself.

    Cells are told of by features whose mean over draws means something: a number by itself, a level by the
    probabilities of all levels. Means of them are turned into cells again by `decided`.
    """

    @property
    def has_rsample(self) -> bool:
        """Whether draws have a pathwise gradient."""
        ...

    def sample(self, sample_shape: Shape = ...) -> Tensor:
        """Complete rows."""
        ...

    def rsample(self, sample_shape: Shape = ...) -> Tensor:
        """Complete rows, with a pathwise gradient where they have one."""
        ...

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of what is observed, `(sample, batch)`."""
        ...

    def column_log_prob(self, value: Tensor) -> Tensor:
        """The log-density of each cell, 0 where it is missing, `(sample, batch, *event)`."""
        ...

    @property
    def expected(self) -> Tensor:
        """The mean of each cell's features, `(sample, batch, features)`."""
        ...

    def features(self, x: Tensor) -> Tensor:
        """The features of cells `(..., *event)`: `(..., features)`."""
        ...

    def decided(self, features: Tensor) -> Tensor:
        """The cells that features `(..., features)` tell of: the number, the most probable level; `(..., *event)`."""
        ...

    def levelled(self) -> Tensor:
        """Which cells are levels, and no numbers, `(*event)`."""
        ...


class Observed(Family):
    r"""A family of independent coordinates of which some may be missing: NaN is left out of the likelihood.

    .. math:: \log p(x_{obs} \mid z) = \sum_{d:\, x_d \text{ observed}} \log p(x_d \mid z)

    That is the likelihood of what was observed, with the rest integrated out: right where whether a value is missing
    depends on nothing but what was observed (Rubin, 1976).

    Raises `UsageError` for a family whose coordinates hang together.

    >>> from vaekit.families import Bernoulli
    >>> coins = Observed(Bernoulli())(torch.zeros(1, 1, 3))
    >>> float(coins.log_prob(torch.tensor([[[1.0, torch.nan, 0.0]]])).exp())
    0.25
    """

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family

    def width(self, event_shape: Size) -> int:
        width = self.family.width(event_shape)
        with torch.no_grad():
            observed(self.family(torch.zeros(1, 1, width, *event_shape[1:])))
        return width

    def forward(self, params: Tensor) -> ObservedDistribution:
        return observed(self.family(params))

    def written(self, reads: str) -> str:
        return f"{term(self.family, reads)} where observed"

    @property
    def support(self) -> Constraint:
        return OrMissing(self.family.support)

    def density(self, x: Tensor) -> Density:
        return self.family.density(x[~x.isnan()])


class OrMissing(Constraint):
    """The values of another constraint of single values, or NaN.

    >>> from torch.distributions import constraints
    >>> OrMissing(constraints.positive).check(torch.tensor([1.0, -1.0, torch.nan]))
    tensor([ True, False,  True])
    """

    def __init__(self, of: Constraint) -> None:
        self.of = of
        super().__init__()

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Whether the values are."""
        return bool(self.of.is_discrete)

    def check(self, value: Tensor) -> Tensor:
        missing = value.isnan()
        explained: Tensor = self.of.check(value.masked_fill(missing, STAND_IN))
        return explained | missing

    def __repr__(self) -> str:
        return f"{self.of}, or missing"


def observed(distribution: Distribution) -> ObservedDistribution:
    """The same distribution with what is missing left out.

    Raises `UsageError` where the coordinates hang together, so that none can be left out by itself.
    """
    if isinstance(distribution, ObservedDistribution):
        return distribution
    if not isinstance(distribution, Independent) or distribution.base_dist.event_shape:
        raise UsageError(
            f"the coordinates of {type(distribution).__name__} hang together, so that a missing one cannot be left "
            "out: choose a likelihood of independent coordinates"
        )
    return ObservedDistribution(distribution)


class ObservedDistribution(Distribution):
    """Independent coordinates, of which those that are NaN are left out of `log_prob`; see `Cells`.

    A coordinate of codes (categories, an order) is a level, any other a number.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, base: Independent[Distribution]) -> None:
        self.base = base
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws have a pathwise gradient."""
        return bool(self.base.has_rsample)

    @property
    def support(self) -> Constraint | None:
        """The values of draws, none of which is missing."""
        support: Constraint | None = self.base.support
        return support

    def expand(self, batch_shape: Shape, _instance: None = None) -> ObservedDistribution:
        """The same distribution, broadcast."""
        return ObservedDistribution(self.base.expand(Size(batch_shape)))

    def column_log_prob(self, value: Tensor) -> Tensor:
        """The log-density of each coordinate, 0 where it is missing."""
        missing = value.isnan()
        log_prob: Tensor = self.base.base_dist.log_prob(value.masked_fill(missing, STAND_IN))
        return log_prob.masked_fill(missing, 0)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of what is observed, `(sample, batch)`."""
        return self.column_log_prob(value).flatten(LEAD).sum(-1)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate."""
        return self.base.variance

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Draws without a gradient, none of them missing."""
        return self.base.sample(Size(sample_shape))

    def rsample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Draws with a pathwise gradient, none of them missing."""
        return self.base.rsample(Size(sample_shape))

    @property
    def expected(self) -> Tensor:
        """The probabilities of the levels where coordinates are levels, else the mean."""
        scalars = self.base.base_dist
        told = scalars.probs if isinstance(scalars, CodeDistribution) else self.base.mean
        return told.flatten(LEAD)

    def features(self, x: Tensor) -> Tensor:
        """One-hot vectors of levels; numbers as they are."""
        axes = len(self.event_shape)
        if self._levels:
            return (x.unsqueeze(-1) == torch.arange(self._levels, device=x.device)).to(x).flatten(-axes - 1)
        return x.flatten(-axes)

    def decided(self, features: Tensor) -> Tensor:
        """The most probable levels; numbers as they are."""
        if self._levels:
            probabilities: Tensor = features.unflatten(-1, (*self.event_shape, self._levels))
            return probabilities.argmax(-1).to(features)
        numbers: Tensor = features.unflatten(-1, self.event_shape)
        return numbers

    def levelled(self) -> Tensor:
        """All coordinates, or none."""
        return torch.full(self.event_shape, bool(self._levels))

    @property
    def _levels(self) -> int:
        scalars = self.base.base_dist
        return scalars.logits.shape[-1] if isinstance(scalars, CodeDistribution) else 0


@dataclass(frozen=True)
class Filled:
    """What a likelihood says of rows with holes. Log terms are `(sample, batch)`, in nats."""

    log_prob: Tensor
    """Of what was observed: log p(x_obs | z), and where missing is not at random log p(s | x) beside it."""
    x: Tensor
    """The rows with a draw in each hole, `(sample, batch, *event)`; as they came where draws were not asked for."""
    told: Tensor
    """The features of every cell to be averaged over draws, `(sample, batch, features)`."""


class FillsHoles(Distribution, ABC):
    """A likelihood for which what is missing tells something of its value: it fills the holes to know its density."""

    cells: Cells
    """p(x | z), of complete rows."""

    @abstractmethod
    def filled(self, x: Tensor) -> Filled:
        """Rows with the draws that their density was computed from."""

    @abstractmethod
    def log_missing(self, x: Tensor, missing: Tensor) -> Tensor:
        """log p(s | x) of what is missing in complete rows, `(sample, batch)`."""


def cells_of(likelihood: Distribution) -> Cells:
    """p(x | z) of complete rows as a distribution of cells.

    Raises `UsageError` where the coordinates hang together.
    """
    if isinstance(likelihood, FillsHoles):
        return likelihood.cells
    return likelihood if _tells_of_cells(likelihood) else observed(likelihood)


def _tells_of_cells(distribution: Distribution) -> TypeGuard[Cells]:
    """By its class, as a check of the object would compute what it tells."""
    return hasattr(type(distribution), "decided")


def filled(likelihood: Distribution, x: Tensor, draws: bool = True) -> Filled:
    """What a likelihood says of rows `(1 or sample, batch, *event)` with NaN in their holes.

    Without draws only what is missing not at random is drawn, for its density.

    >>> from vaekit.families import Bernoulli
    >>> found = filled(Bernoulli()(torch.zeros(1, 1, 2)), torch.tensor([[[1.0, torch.nan]]]))
    >>> float(found.log_prob.exp()), found.told
    (0.5, tensor([[[0.5000, 0.5000]]]))
    """
    if isinstance(likelihood, FillsHoles):
        return likelihood.filled(x)
    cells = cells_of(likelihood)
    drawn = in_holes(x, _drawn(cells)) if draws else x
    return Filled(cells.log_prob(x), drawn, cells.expected)


def _drawn(cells: Cells) -> Tensor:
    """Complete rows; where there is a path through draws, by it, as that can be taken for all rows at once."""
    return cells.rsample() if cells.has_rsample else cells.sample()


def in_holes(x: Tensor, values: Tensor) -> Tensor:
    """x with these values where it is missing; both are broadcast to each other."""
    return torch.where(x.isnan(), values, x)
