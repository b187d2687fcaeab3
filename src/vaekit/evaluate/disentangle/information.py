"""Disentanglement by mutual information: the gap, and modularity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.evaluate.disentangle.representation import Representation, gap

BINS = 20
CARRIES = 0.01
"""The share of a factor's entropy that a code must tell of to count as carrying anything."""


@dataclass(frozen=True)
class InformationGap:
    """The mutual information gap: 1 where each factor is in one code alone, 0 where no code stands out."""

    of_factors: Tensor
    """`(factor,)`, in units of the factor's entropy."""
    information: Tensor
    """I(code; factor) of each pair, `(code, factor)`, in nats."""

    @property
    def value(self) -> float:
        """The mean over factors."""
        return float(self.of_factors.mean())


def mutual_information_gap(codes: ArrayLike | Tensor, factors: ArrayLike | Tensor, bins: int = BINS) -> InformationGap:
    r"""For each factor, how much more the best code tells of it than the second best.

    .. math:: \frac{1}{F} \sum_f \frac{I(z_{(1)}; v_f) - I(z_{(2)}; v_f)}{H(v_f)}

    Args:
        codes: `(n, d)`, as a rule posterior means.
        factors: `(n, f)`, whole numbers.
        bins: into which each code is parted; see `mutual_information`.

    Source: Chen, Li, Grosse and Duvenaud, 2018; on codes in bins as in Locatello et al., 2019.

    >>> factors = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    >>> mutual_information_gap(factors.double(), factors).value
    1.0
    """
    data = Representation.of(codes, factors)
    information, entropies = _information(data, bins)
    return InformationGap(gap(information) / entropies, information)


@dataclass(frozen=True)
class Modularity:
    """Modularity: 1 where each code tells of one factor alone, 0 where it tells of all equally."""

    of_codes: Tensor
    """`(code,)`; NaN for a code that tells less than 1 % of any factor."""
    information: Tensor
    """I(code; factor) of each pair, `(code, factor)`, in nats."""

    @property
    def value(self) -> float:
        """The mean over the codes that tell of anything; NaN where none does."""
        return float(self.of_codes.nanmean())


def modularity(codes: ArrayLike | Tensor, factors: ArrayLike | Tensor, bins: int = BINS) -> Modularity:
    r"""For each code, how far it tells of one factor alone.

    .. math:: 1 - \frac{\sum_{f \ne f^*} I(z; v_f)^2}{I(z; v_{f^*})^2 (F - 1)}

    Several codes may share a factor; explicitness and completeness see to that.

    Args:
        codes: `(n, d)`.
        factors: `(n, f)`, whole numbers, at least 2 factors.
        bins: into which each code is parted; see `mutual_information`.

    Source: Ridgeway and Mozer, 2018.

    >>> factors = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    >>> modularity(factors.double(), factors).value
    1.0
    """
    data = Representation.of(codes, factors)
    if len(data.levels) < 2:
        raise UsageError("modularity sets factors against each other: give at least 2")
    information, entropies = _information(data, bins)
    squares = information.square()
    best = squares.amax(1)
    others = (squares.sum(1) - best) / (best * (len(data.levels) - 1))
    carries = (information > CARRIES * entropies).any(1)
    return Modularity(torch.where(carries, 1 - others, torch.nan), information)


def mutual_information(codes: ArrayLike | Tensor, factors: ArrayLike | Tensor, bins: int = BINS) -> Tensor:
    """I(code; factor) of each pair, `(d, f)`, in nats.

    A code of no more values than bins is taken by its values, any other is parted at its quantiles; a factor of more
    values than `bins` has as many bins. What few rows add by chance is taken off (Miller, 1955), so that a random code
    has about 0, and no code less.

    >>> round(float(mutual_information([[0.0], [0.0], [1.0], [1.0]], [[0], [0], [1], [1]])), 4) > 0.69
    True
    """
    return _information(Representation.of(codes, factors), bins)[0]


def _information(data: Representation, bins: int) -> tuple[Tensor, Tensor]:
    """The information of each pair, `(d, f)`, and the entropy of each factor, `(f,)`."""
    if bins < 2:
        raise UsageError(f"{bins} bins: a code needs at least 2")
    columns = list(zip(data.factors.unbind(1), data.levels, strict=True))
    pairs = [
        [_shared(binned(code, max(bins, levels)), factor) for factor, levels in columns]
        for code in data.codes.unbind(1)
    ]
    entropies = [_entropy(factor) for factor, _ in columns]
    return torch.tensor(pairs, dtype=torch.float64).clamp(min=0), torch.tensor(entropies, dtype=torch.float64)


def binned(code: Tensor, bins: int) -> Tensor:
    """The bin of each value `(n,)`: its own where there are few, else one between quantiles.

    >>> binned(torch.tensor([7.0, 1.0, 7.0]), 2)
    tensor([1, 0, 1])
    """
    found: tuple[Tensor, Tensor] = code.unique(return_inverse=True)
    values, own_bin = found
    if len(values) <= bins:
        return own_bin
    edges = code.sort().values[torch.arange(1, bins) * len(code) // bins]
    return torch.bucketize(code.contiguous(), edges, right=True)


def _shared(a: Tensor, b: Tensor) -> float:
    """I(a; b) = H(a) + H(b) - H(a, b)."""
    return _entropy(a) + _entropy(b) - _entropy(a * (int(b.max()) + 1) + b)


def _entropy(values: Tensor) -> float:
    """The entropy of whole numbers `(n,)`, in nats, with Miller's correction for what few draws have not seen."""
    counts = values.unique(return_counts=True)[1].double()
    n = len(values)
    return math.log(n) - float((counts * counts.log()).sum()) / n + (len(counts) - 1) / (2 * n)
