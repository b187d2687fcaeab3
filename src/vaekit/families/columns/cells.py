"""Cells: independent values of columns of one family, given their parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from torch import Size, Tensor
from torch.distributions import AffineTransform, Distribution, TransformedDistribution
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid

from vaekit.families.categorical import CodeDistribution
from vaekit.families.scalars import NO_SHAPE, Shape
from vaekit.families.special import HALF_LOG_TAU

_NODES, _WEIGHTS = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(33))
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class GroupCells(ABC):
    """Independent cells `(sample, batch, columns)`; values are inside the support, and none is missing.

    Features tell of cells so that their mean over draws means something: a number by itself, a level by the
    probabilities of all levels. Features lie side by side, those of the first column first.
    """

    @abstractmethod
    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of each cell."""

    @abstractmethod
    def sample(self) -> Tensor:
        """A draw of each cell."""

    @abstractmethod
    def expand(self, shape: Size) -> Self:
        """The same cells, broadcast to `(sample, batch, columns)`."""

    @property
    @abstractmethod
    def feature_width(self) -> int:
        """How many features there are."""

    @property
    @abstractmethod
    def expected(self) -> Tensor:
        """The mean of each cell's features, `(sample, batch, features)`."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """The features of values `(..., columns)`: `(..., features)`."""

    @abstractmethod
    def decided(self, features: Tensor) -> Tensor:
        """The values `(..., columns)` that features tell of."""

    @property
    @abstractmethod
    def mode(self) -> Tensor:
        """The most probable value of each cell."""

    @property
    @abstractmethod
    def variance(self) -> Tensor:
        """The variance of each cell; NaN where values are names of levels."""


Law = TypeVar("Law", bound=Distribution)


class NumberCells(GroupCells, Generic[Law]):
    """Cells that hold numbers, by a distribution of scalars."""

    def __init__(self, scalars: Law) -> None:
        self.scalars = scalars

    def log_prob(self, value: Tensor) -> Tensor:
        log_density: Tensor = self.scalars.log_prob(value)
        return log_density

    def sample(self) -> Tensor:
        return self.scalars.sample()

    def expand(self, shape: Size) -> NumberCells[Law]:
        return NumberCells(self.scalars.expand(shape))

    @property
    def feature_width(self) -> int:
        """One for each column."""
        return self.scalars.batch_shape[-1]

    @property
    def expected(self) -> Tensor:
        """The mean."""
        return self.scalars.mean

    def features(self, x: Tensor) -> Tensor:
        return x

    def decided(self, features: Tensor) -> Tensor:
        return features

    @property
    def mode(self) -> Tensor:
        """The most probable number."""
        return self.scalars.mode

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.scalars.variance


Decide = Callable[[Tensor], Tensor]
"""One level for each cell from the probabilities of its levels, `(..., levels)`."""


def most_probable(probs: Tensor) -> Tensor:
    """The level of the greatest probability.

    >>> most_probable(torch.tensor([0.2, 0.5, 0.3]))
    tensor(1)
    """
    return probs.argmax(-1)


def median(probs: Tensor) -> Tensor:
    """The first level that half of the probability does not lie above.

    >>> median(torch.tensor([0.4, 0.2, 0.4])), median(torch.tensor([0.0, 0.0, 1.0]))
    (tensor(1), tensor(2))
    """
    return (probs.cumsum(-1)[..., :-1] < 0.5).sum(-1)


class LevelCells(GroupCells):
    """Cells that hold a level each, by their logits; levels beyond a column's own have the logit -inf."""

    def __init__(self, codes: CodeDistribution, decide: Decide) -> None:
        self.codes, self.decide = codes, decide

    def log_prob(self, value: Tensor) -> Tensor:
        return self.codes.log_prob(value)

    def sample(self) -> Tensor:
        """By the Gumbel trick, which also works on many rows at once where torch's sampler does not."""
        logits = self.codes.logits
        return gumbel_argmax(logits, torch.rand_like(logits)).to(logits)

    def expand(self, shape: Size) -> LevelCells:
        return LevelCells(CodeDistribution(self.codes.logits.expand(*shape, -1)), self.decide)

    @property
    def feature_width(self) -> int:
        """One for each level of each column."""
        return self.codes.logits.shape[-2] * self.codes.logits.shape[-1]

    @property
    def expected(self) -> Tensor:
        """The probability of each level."""
        return self.codes.probs.flatten(-2)

    def features(self, x: Tensor) -> Tensor:
        every = torch.arange(self.codes.logits.shape[-1], device=x.device)
        return (x.unsqueeze(-1) == every).to(x).flatten(-2)

    def decided(self, features: Tensor) -> Tensor:
        return self.decide(features.unflatten(-1, (-1, self.codes.logits.shape[-1]))).to(features)

    @property
    def mode(self) -> Tensor:
        """The most probable level."""
        return self.codes.logits.argmax(-1).to(self.codes.logits)

    @property
    def variance(self) -> Tensor:
        """Names of levels have none."""
        return torch.full_like(self.mode, torch.nan)


class Warped(TransformedDistribution):
    """A normal or another distribution of scalars behind a warp, one for each column."""

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Draws, without a gradient."""
        with torch.no_grad():
            return self.rsample(Size(sample_shape))

    def standard(self, value: Tensor) -> Tensor:
        """Values as the standard normal behind them."""
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        return (value - self.base_dist.mean) / self.base_dist.stddev

    @property
    def _affine(self) -> bool:
        return all(isinstance(transform, AffineTransform) for transform in self.transforms)

    def _outward(self, y: Tensor) -> Tensor:
        for transform in self.transforms:
            y = transform(y)
        return y

    @property
    def mean(self) -> Tensor:
        """Exact where the warp is affine, else by quadrature over the normal behind it."""
        return self._outward(self.base_dist.mean) if self._affine else self.averaged(lambda x: x)

    @property
    def mode(self) -> Tensor:
        """What the most probable value at unit scale stands for."""
        return self._outward(self.base_dist.mode)

    @property
    def variance(self) -> Tensor:
        """Likewise."""
        if self._affine:
            unit = torch.ones_like(self.base_dist.mean)
            return (self._outward(unit) - self._outward(0 * unit)).square() * self.base_dist.variance
        mean = self.mean
        return self.averaged(lambda x: (x - mean).square())

    def averaged(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        """The mean of a function of the values."""
        steep = any(getattr(transform, "steep", False) for transform in self.transforms)
        y, weights = (steps if steep else gauss_hermite)(self.base_dist.mean, self.base_dist.stddev)
        return (weights * of(self._outward(y))).sum(0)


def gauss_hermite(loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights, along a first axis of their own, of the mean of a smooth function of a normal."""
    nodes, weights = (each.to(loc).reshape(-1, *[1] * loc.dim()) for each in (_NODES, _WEIGHTS))
    return loc + scale * nodes, weights


def steps(loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The same of a function that may rise as steeply as it likes: by masses of narrow steps, the same for all."""
    edges = torch.linspace(-_FURTHEST, _FURTHEST, _STEPS + 1, device=loc.device, dtype=loc.dtype)
    edges = edges.reshape(-1, *[1] * loc.dim())
    cdf = torch.special.ndtr((edges[1:-1] - loc) / scale)
    ends = torch.zeros_like(cdf[:1])
    return (edges[1:] + edges[:-1]) / 2, torch.cat([ends, cdf, ends + 1]).diff(dim=0)


_FURTHEST, _STEPS = 8.0, 160
_NARROW = 0.01
"""A step in standard deviations, below which its mass is told by the density: the difference of its edges is lost."""


class Rounded(Distribution):
    r"""Counts that a law of numbers gives by rounding to the nearest one, everything below 1/2 to 0.

    .. math:: P(k) = F(k + 1/2) - F(k - 1/2), \qquad P(0) = F(1/2)

    Args:
        between: normal at unit scale, behind a warp.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, between: Warped) -> None:
        self.between = between
        super().__init__(between.batch_shape, validate_args=False)

    def expand(self, batch_shape: Shape, _instance: None = None) -> Rounded:
        """The same distribution, broadcast."""
        between: Warped = self.between.expand(Size(batch_shape))  # type: ignore[no-untyped-call]
        return Rounded(between)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-mass of a count."""
        lowest = value < 0.5
        below = torch.where(lowest, value + 0.5, value - 0.5)  # of 0 no number is asked that a warp may not know
        low, high = (self.between.standard(edge) for edge in (below, value + 0.5))
        narrow = (high - low < _NARROW) & ~lowest
        mass = log_normal_mass(torch.where(lowest | narrow, high - 1, low), high)
        at = torch.where(lowest, below, value)
        density: Tensor = self.between.log_prob(at)  # type: ignore[no-untyped-call]  # times a width of 1
        return torch.where(lowest, torch.special.log_ndtr(high), torch.where(narrow, density, mass))

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Draws, without a gradient."""
        return self.between.sample(sample_shape).round().clamp(min=0)

    @property
    def mean(self) -> Tensor:
        """The mean of what is rounded, with 0 for all below: that of the counts up to a small part of 1."""
        return self.between.averaged(lambda x: x.clamp(min=0))

    @property
    def mode(self) -> Tensor:
        """What the most probable number is rounded to."""
        return self.between.mode.round().clamp(min=0)

    @property
    def variance(self) -> Tensor:
        """The variance of the same, and that of the rounding."""
        mean = self.mean
        return self.between.averaged(lambda x: (x.clamp(min=0) - mean).square()) + 1 / 12


_NARROW = 0.03


def log_normal_mass(low: Tensor, high: Tensor) -> Tensor:
    """log of the mass of a standard normal between two points; where they are near, of its density times the width.

    >>> bool((log_normal_mass(torch.tensor(-1.0), torch.tensor(1.0)).exp() - 0.6827).abs() < 1e-4)
    True
    """
    width, middle = high - low, (low + high) / 2
    narrow = width < _NARROW
    density = -middle.square() / 2 - HALF_LOG_TAU + width.clamp(min=torch.finfo(width.dtype).tiny).log()
    return torch.where(narrow, density, _log_wide_mass(middle, torch.where(narrow, _NARROW, width)))


def _log_wide_mass(middle: Tensor, width: Tensor) -> Tensor:
    """The same by the difference of two masses of the nearer tail."""
    near = -middle.abs()
    upper, lower = (torch.special.log_ndtr(near + half * width) for half in (0.5, -0.5))
    log_mass: Tensor = upper + torch.log(-torch.expm1(lower - upper))
    return log_mass


def same(value: Tensor, atom: Tensor) -> Tensor:
    """Whether values are atoms, up to the rounding of float32.

    >>> same(torch.tensor([0.0, 0.1], dtype=torch.float64), torch.tensor([0.0, 0.1]))
    tensor([True, True])
    """
    near: Tensor = (value - atom).abs() <= _ROUNDING * atom.abs()
    return near


_ROUNDING = 2e-7


class Spiked(Distribution):
    r"""Values that are exactly an atom with some probability, and follow another law otherwise.

    .. math:: p(x) = \pi_k \text{ at the atom } a_k, \qquad p(x) = \pi_0 \, f(x) \text{ elsewhere}

    A probability mass at the atoms and a density elsewhere, which together sum and integrate to 1. If the other law is
    one of counts, it too has a mass at the atoms, which is added.

    Args:
        logits: of the other law and of the atoms, `(..., columns, 1 + atoms)`.
        atoms: `(columns, atoms)`.
        between: the other law.
        middle: a value of the other law for each column, `(columns,)`.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, logits: Tensor, atoms: Tensor, between: Warped | Rounded, middle: Tensor) -> None:
        self.log_shares, self.atoms, self.between, self.middle = logits.log_softmax(-1), atoms, between, middle
        super().__init__(logits.shape[:-1], validate_args=False)

    def expand(self, batch_shape: Shape, _instance: None = None) -> Spiked:
        """The same distribution, broadcast."""
        shape = Size(batch_shape)
        return Spiked(self.log_shares.expand(*shape, -1), self.atoms, self.between.expand(shape), self.middle)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-mass of an atom, the log-density of what is none."""
        at = same(value.unsqueeze(-1), self.atoms)
        log_mass = torch.where(at, self.log_shares[..., 1:], -torch.inf).amax(-1)
        return self._joined(at.any(-1), log_mass, value)

    def _joined(self, on: Tensor, log_mass: Tensor, value: Tensor) -> Tensor:
        rest = self.log_shares[..., 0]
        if isinstance(self.between, Rounded):
            return torch.logaddexp(torch.where(on, log_mass, _NOTHING), rest + self.between.log_prob(value))
        aside = torch.where(on, self.middle, value)
        log_density: Tensor = self.between.log_prob(aside)  # type: ignore[no-untyped-call]
        return torch.where(on, log_mass, rest + log_density)

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Draws, without a gradient."""
        with torch.no_grad():
            drawn = self.between.sample(sample_shape).unsqueeze(-1)
            noise = torch.rand(*drawn.shape[:-1], self.log_shares.shape[-1]).to(drawn)
            chosen = gumbel_argmax(self.log_shares, noise)
            options = torch.cat([drawn, self.atoms.expand(*drawn.shape[:-1], -1)], -1)
            return options.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)

    @property
    def mean(self) -> Tensor:
        """The mean over atoms and the rest."""
        shares = self.log_shares.exp()
        return shares[..., 0] * self.between.mean + (shares[..., 1:] * self.atoms).sum(-1)

    @property
    def mode(self) -> Tensor:
        """The most probable atom where atoms have half of the probability or more, else the mode of the rest."""
        shares = self.log_shares.exp()
        best = shares[..., 1:].argmax(-1, keepdim=True)
        atom = self.atoms.expand(*shares.shape[:-1], -1).gather(-1, best).squeeze(-1)
        return torch.where(shares[..., 0] <= 0.5, atom, self.between.mode)

    @property
    def variance(self) -> Tensor:
        """The variance over atoms and the rest."""
        shares, mean = self.log_shares.exp(), self.mean
        inside = self.between.variance + (self.between.mean - mean).square()
        return shares[..., 0] * inside + (shares[..., 1:] * (self.atoms - mean.unsqueeze(-1)).square()).sum(-1)


_NOTHING = -1e30


def gumbel_argmax(logits: Tensor, uniform: Tensor) -> Tensor:
    """Draws of categories by uniform noise of their shape: the Gumbel trick (Gumbel, 1954).

    It works on many rows at once where torch's own sampler does not.
    """
    exponential = -uniform.clamp(min=torch.finfo(uniform.dtype).tiny).log()
    return (logits - exponential.log()).argmax(-1)


def binary_logits(logit: Tensor) -> Tensor:
    """The log-masses of 0 and 1 by the logit of 1, `(..., 2)`."""
    return torch.stack([logsigmoid(-logit), logsigmoid(logit)], -1)
