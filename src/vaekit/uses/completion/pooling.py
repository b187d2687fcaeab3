"""Pooling: one estimate with its interval from analyses of several completed copies, by Rubin's rules."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaekit.common.errors import UsageError

_NODES, _WEIGHTS = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(200))
_NEARLY_NORMAL = 1e7
_HALVINGS = 200


@dataclass(frozen=True)
class Pooled:
    """An estimate `(*shape)` and what its variance is made of, `(*shape)` each, float64."""

    estimate: Tensor
    within: Tensor
    """The mean of the copies' own variances: what there would be were nothing missing."""
    between: Tensor
    """The variance of the copies' estimates: what comes of not knowing what is missing."""
    total: Tensor
    """within + (1 + 1 / m) between."""
    degrees: Tensor
    """Degrees of freedom of Student's t that the interval is by."""

    @property
    def stderr(self) -> Tensor:
        """The standard error of the estimate."""
        return self.total.sqrt()

    @property
    def missing_share(self) -> Tensor:
        """The share of the variance that comes of what is missing; 0 where nothing varies."""
        return _missing_share(self.within, self.total)

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """The two ends of the interval of this level."""
        if not 0 < level < 1:
            raise UsageError(f"an interval of level {level}: choose between 0 and 1, such as 0.95")
        reach = student_quantile((1 + level) / 2, self.degrees) * self.stderr
        return self.estimate - reach, self.estimate + reach


def pool(estimates: Tensor, variances: Tensor, complete_degrees: float = math.inf) -> Pooled:
    r"""Rubin's rules: the estimates of m analyses of completed copies, and their squared standard errors, as one.

    .. math:: \bar Q = \frac{1}{m} \sum_j Q_j, \qquad
        T = \frac{1}{m} \sum_j U_j + \left(1 + \frac{1}{m}\right) \frac{1}{m - 1} \sum_j (Q_j - \bar Q)^2

    Args:
        estimates: Q, `(m, *shape)`: of each completed copy, analysed as if nothing had been missing.
        variances: U, `(m, *shape)`: their squared standard errors.
        complete_degrees: degrees of freedom of the analysis, were nothing missing: rows less coefficients in a
            regression. The interval of a small data set is the wider for it.

    Raises `UsageError` for less than 2 copies, and variances of another shape.

    Source: Rubin, 1987; Barnard and Rubin, 1999 (the degrees of freedom).

    >>> pooled = pool(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 0.5, 0.5]))
    >>> float(pooled.estimate), round(float(pooled.total), 4)  # 1/2 + 4/3 of 1
    (2.0, 1.8333)
    """
    estimates, variances = torch.as_tensor(estimates).double(), torch.as_tensor(variances).double()
    if len(estimates) < 2:
        raise UsageError(f"{len(estimates)} completed copies to pool: what is missing shows from 2 on")
    if estimates.shape != variances.shape:
        shapes = f"{tuple(estimates.shape)} and variances of {tuple(variances.shape)}"
        raise UsageError(f"estimates of shape {shapes}: give a variance for each estimate")
    m = len(estimates)
    within, between = variances.mean(0), estimates.var(0)
    total = within + (1 + 1 / m) * between
    return Pooled(
        estimates.mean(0), within, between, total, _degrees(_missing_share(within, total), m, complete_degrees)
    )


def _missing_share(within: Tensor, total: Tensor) -> Tensor:
    return torch.where(total > 0, (total - within) / total, 0.0)


def _degrees(missing_share: Tensor, copies: int, complete: float) -> Tensor:
    """Barnard and Rubin's degrees of freedom, from the share of the variance that comes of what is missing."""
    of_draws = (copies - 1) / missing_share.square()
    if math.isinf(complete):
        return of_draws
    of_rows = (complete + 1) / (complete + 3) * complete * (1 - missing_share)
    return (1 / (1 / of_draws + 1 / of_rows)).clamp(min=1)


def student_quantile(p: float, degrees: Tensor) -> Tensor:
    """The quantile at p >= 1/2 of Student's t with so many degrees of freedom, each at least 1; by halving.

    >>> [round(float(t), 4) for t in student_quantile(0.975, torch.tensor([1.0, 4.0, float("inf")]))]
    [12.7062, 2.7764, 1.96]
    """
    degrees = degrees.double().clamp(max=_NEARLY_NORMAL)
    low, high = torch.zeros_like(degrees), torch.full_like(degrees, math.pi / 2)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        under = 0.5 + _mass_to(middle, degrees) < p
        low, high = torch.where(under, middle, low), torch.where(under, high, middle)
    return degrees.sqrt() * torch.tan((low + high) / 2)


def _mass_to(angle: Tensor, degrees: Tensor) -> Tensor:
    r"""P(0 < T < \sqrt{\nu} \tan a): :math:`\int_0^a \cos^{\nu - 1} u \, du / B(1/2, \nu / 2)`, by Gauss and Legendre.

    Beyond what counts of the integrand, which lies within a few :math:`1 / \sqrt{\nu}` of 0, nothing is integrated.
    """
    end = torch.minimum(angle, 40 / degrees.sqrt()).unsqueeze(-1)
    u = end * (_NODES + 1) / 2
    inside = ((degrees.unsqueeze(-1) - 1) * u.cos().log()).exp()
    integral = (inside * _WEIGHTS).sum(-1) * end.squeeze(-1) / 2
    half = degrees / 2
    log_beta = math.lgamma(0.5) + torch.lgamma(half) - torch.lgamma(half + 0.5)
    return integral / log_beta.exp()
