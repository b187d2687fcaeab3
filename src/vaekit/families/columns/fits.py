"""Fits of one-dimensional laws to the observed values of one column, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vaekit.families.columns.marginal import Marginal
from vaekit.families.columns.warps import inward, warp_of

Fit = Callable[[Tensor], Marginal]
"""A law of numbers from values of a column."""

COMPONENTS = (2, 4, 8)
"""How many peaks a column of many may have."""
_NARROWEST = 0.02
_EM_STEPS = 30
_DEGREES_ABOVE_TWO = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
_HEAVIEST = 0.2


def normal(values: Tensor) -> Marginal:
    """A normal by mean and deviation; what is constant, or not there, is only shifted.

    >>> normal(torch.tensor([1.0, 3.0])).shape, normal(torch.tensor([])).shape
    ((2.0, 1.0), (0.0, 1.0))
    """
    return Marginal("normal", shape=_moments(values))


def _moments(values: Tensor) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    std = float(values.std(correction=0))
    return float(values.mean()), std if std > 1e-7 * float(values.abs().max()) else 1.0


def log_normal(values: Tensor) -> Marginal:
    """A normal of the logarithms of positive values."""
    return Marginal("normal", warp="log", shape=_moments(values.log()))


def student_t(values: Tensor) -> Marginal:
    """Student's t by maximum likelihood: EM for location and scale at each of a few degrees of freedom."""
    fits = [_student_t_of(values, 2 + excess) for excess in _DEGREES_ABOVE_TWO]
    best = max(range(len(fits)), key=lambda at: fits[at][2])
    return Marginal("student_t", start=(_DEGREES_ABOVE_TWO[best],), shape=fits[best][:2])


def _student_t_of(values: Tensor, df: float) -> tuple[float, float, float]:
    """Location, scale and mean log-likelihood. Source: Lange, Little and Taylor, 1989."""
    loc, scale = robust_moments(values)
    for _ in range(_EM_STEPS):
        weight = (df + 1) / (df + ((values - loc) / scale).square())
        loc = float((weight * values).sum() / weight.sum())
        scale = float((weight * (values - loc).square()).mean().sqrt())
    law = torch.distributions.StudentT(df, loc, scale, validate_args=False)
    return loc, scale, float(law.log_prob(values).mean())


def robust_moments(values: Tensor) -> tuple[float, float]:
    """Median, and the deviation that a normal with these quartiles has; by the moments where quartiles coincide."""
    low, middle, high = (float(value) for value in values.quantile(torch.tensor([0.25, 0.5, 0.75]).to(values)))
    return (middle, (high - low) / 1.349) if high > low else _moments(values)


def sinh_arcsinh(values: Tensor) -> Marginal:
    """Skewness and heavy tails by maximum likelihood; never tails lighter than a normal's, which outliers punish."""
    middle, unit = robust_moments(values)
    scaled = (values - middle) / unit
    raw = torch.zeros(4, dtype=values.dtype, requires_grad=True)
    search = torch.optim.LBFGS([raw], max_iter=30, line_search_fn="strong_wolfe")
    search.step(lambda: _descended(raw, scaled))
    skew, tail, loc, scale = (float(value) for value in _bent(raw.detach()))
    return Marginal("normal", warp="sinh_arcsinh", shape=(skew, tail, middle + unit * loc, unit * scale))


def _bent(raw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Skew, tail, location and scale from four free numbers."""
    return raw[0], _HEAVIEST + (1 - _HEAVIEST) * torch.sigmoid(raw[1] + 2), raw[2], raw[3].exp()


def _descended(raw: Tensor, values: Tensor) -> Tensor:
    """The mean of -log p without its constant, its gradient left in `raw`."""
    skew, tail, loc, scale = _bent(raw)
    u = (values - loc) / scale
    y = torch.sinh((tail * torch.asinh(u) - skew).clamp(-30, 30))
    slope = torch.log1p(y.square()) / 2 - torch.log1p(u.square()) / 2 + tail.log() - scale.log()
    loss = (y.square() / 2 - slope).mean()
    (raw.grad,) = torch.autograd.grad(loss, raw)
    return loss.detach()


def peaks(values: Tensor) -> Marginal:
    """Many peaks, each a normal that the net weighs."""
    middle, unit = _moments(values)
    parts = _peaks_at_unit_scale((values - middle) / unit)
    return Marginal("peaks", start=tuple(parts.flatten().tolist()), shape=(middle, unit))


def gaussianise(values: Tensor) -> Marginal:
    """Many peaks by the warp that makes one normal of a mixture of them."""
    middle, unit = _moments(values)
    parts = _peaks_at_unit_scale((values - middle) / unit)
    return Marginal("normal", warp="gaussianise", shape=(middle, unit, *parts.flatten().tolist()))


def _peaks_at_unit_scale(scaled: Tensor) -> Tensor:
    """A mixture `(3, K)` with as many components as the Bayesian criterion takes (Schwarz, 1978)."""
    mixtures = [mixture(scaled, components) for components in COMPONENTS]
    cost = [
        -loglik + (3 * k - 1) / 2 * math.log(len(scaled)) for (_, loglik), k in zip(mixtures, COMPONENTS, strict=True)
    ]
    return mixtures[cost.index(min(cost))][0]


def mixture(values: Tensor, components: int) -> tuple[Tensor, float]:
    """Weights, means and deviations `(3, K)` of a mixture of normals by EM, and its log-likelihood.

    It starts from equal shares of the sorted values. No deviation is below 0.02, in units of the values' own.
    """
    shares = [part for part in values.sort().values.chunk(components) if len(part)]
    means = torch.stack([part.mean() for part in shares])
    deviations = torch.stack([part.std(correction=0) for part in shares]).clamp(min=0.1)
    log_weights = torch.full_like(means, -math.log(len(means)))
    for _ in range(_EM_STEPS):
        claim = _log_joint(values, log_weights, means, deviations).softmax(-1)
        size = claim.sum(0) + 1e-3
        means = (claim * values.unsqueeze(-1)).sum(0) / size
        spread = (claim * (values.unsqueeze(-1) - means).square()).sum(0) / size
        deviations, log_weights = spread.sqrt().clamp(min=_NARROWEST), (size / size.sum()).log()
    loglik = _log_joint(values, log_weights, means, deviations).logsumexp(-1).sum()
    return torch.stack([log_weights.exp(), means, deviations]), float(loglik)


def _log_joint(values: Tensor, log_weights: Tensor, means: Tensor, deviations: Tensor) -> Tensor:
    standard = (values.unsqueeze(-1) - means) / deviations
    return log_weights - deviations.log() - standard.square() / 2 - math.log(2 * math.pi) / 2


def distance_from_normal(marginal: Marginal, values: Tensor) -> float:
    """The greatest difference between the values' distribution at unit scale and the standard normal's, from 0 to 1."""
    warp = warp_of(marginal.warp, [marginal.shape]).double()
    cdf = torch.special.ndtr(inward(warp, values.unsqueeze(-1)).squeeze(-1)).sort().values
    steps = torch.arange(len(cdf) + 1).to(cdf) / len(cdf)
    return float(torch.maximum(steps[1:] - cdf, cdf - steps[:-1]).max())
