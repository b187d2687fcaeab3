"""Test statistics and their p-values, by their limits for many draws."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError


def exact(values: Tensor) -> Tensor:
    """Values in float64, on their own device, or on the CPU where the device does not know float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def normal_upper_tail(z: Tensor) -> Tensor:
    """P(Z > z) of a standard normal.

    >>> float(normal_upper_tail(torch.tensor(0.0)))
    0.5
    """
    tail: Tensor = torch.erfc(z / math.sqrt(2)) / 2
    return tail


def chi_square_upper_tail(value: Tensor, freedom: float) -> Tensor:
    """P(X > value) of a chi-square with so many degrees of freedom.

    >>> round(float(chi_square_upper_tail(torch.tensor(3.841), 1)), 3)
    0.05
    """
    half = torch.as_tensor(freedom / 2, dtype=value.dtype, device=value.device)
    tail: Tensor = torch.special.gammaincc(half, value / 2)
    return tail


@dataclass(frozen=True)
class Uniformity:
    """Whether counts come from a uniform distribution over their cells: chi-square, and its p-value."""

    statistic: Tensor
    p_value: Tensor


def uniformity(counts: Tensor) -> Uniformity:
    """Pearson's test of counts `(..., cells)`, one for each leading index.

    >>> float(uniformity(torch.tensor([10, 10, 10])).p_value)
    1.0
    """
    expected = counts.double().mean(-1, keepdim=True)
    statistic = ((counts - expected).square() / expected).sum(-1)
    return Uniformity(statistic, chi_square_upper_tail(statistic, counts.shape[-1] - 1))


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """The largest difference of two empirical distribution functions, and its p-value, `(coordinate,)` each."""

    statistic: Tensor
    p_value: Tensor


def kolmogorov_smirnov(a: Tensor, b: Tensor) -> KolmogorovSmirnov:
    """The two-sample test of each coordinate of `a` `(n, d)` and `b` `(m, d)`.

    Source: Kolmogorov, 1933; Smirnov, 1948; Stephens, 1970 (the correction of the p-value for few draws).

    >>> float(kolmogorov_smirnov(torch.zeros(4, 1), torch.ones(4, 1)).statistic)
    1.0
    """
    of_a, of_b = exact(a).T.sort(1).values.contiguous(), exact(b).T.sort(1).values.contiguous()
    everywhere = torch.cat([of_a, of_b], dim=1)
    shares = [torch.searchsorted(side, everywhere, right=True).double() / side.shape[1] for side in (of_a, of_b)]
    statistic = (shares[0] - shares[1]).abs().amax(1)
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    return KolmogorovSmirnov(statistic.cpu(), _kolmogorov_upper_tail((root + 0.12 + 0.11 / root) * statistic).cpu())


def _kolmogorov_upper_tail(value: Tensor) -> Tensor:
    """P(K > value) of Kolmogorov's distribution, by its alternating series; 1 where that has not converged."""
    terms = torch.arange(1, 101, dtype=value.dtype, device=value.device)
    series = (-1) ** (terms - 1) * torch.exp(-2 * terms.square() * value.unsqueeze(-1).square())
    return torch.where(value < 0.2, 1.0, 2 * series.sum(-1)).clamp(0, 1)


@dataclass(frozen=True)
class Superiority:
    """How often a draw of the one kind exceeds one of the other, ties for a half, and the normal score of that."""

    share: float
    z: float

    @property
    def p_value(self) -> float:
        """The probability of a share as large or larger, were both kinds alike."""
        return float(normal_upper_tail(torch.tensor(self.z, dtype=torch.float64)))


def superiority(of: Tensor, over: Tensor) -> Superiority:
    """P(of > over) + P(of = over) / 2, the area under the ROC curve, from draws `(n,)` and `(m,)`.

    Source: Mann and Whitney, 1947, with the variance corrected for ties.

    >>> superiority(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 2.0])).share
    0.875
    """
    if not len(of) or not len(over):
        raise UsageError(f"{len(of)} and {len(over)} draws to compare: give at least 1 of each")
    of, over = exact(of), exact(over)
    share = float((below(over, of) + below(over, of, or_equal=True)).sum() / 2 / len(of) / len(over))
    deviation = _deviation_of_share(of, over)
    return Superiority(share, (share - 0.5) / deviation if deviation else 0.0)


def below(values: Tensor, at: Tensor, or_equal: bool = False) -> Tensor:
    """How many of `values` `(n,)` are below each of `at` `(m,)`, in float64."""
    return torch.searchsorted(values.sort().values, at.contiguous(), right=or_equal).double()


def _deviation_of_share(a: Tensor, b: Tensor) -> float:
    """The standard deviation of the share where both kinds are alike."""
    n, m, total = len(a), len(b), len(a) + len(b)
    ties = torch.cat([a, b]).unique(return_counts=True)[1].double()
    correction = float((ties**3 - ties).sum()) / (total * (total - 1))
    return math.sqrt(max(0.0, total + 1 - correction) / (12 * n * m))
