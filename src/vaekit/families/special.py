"""Special functions in forms that keep their digits in float32, and links from real numbers to means.

Log-masses and log-densities are differences of log-gamma functions that grow without bound, while the difference
stays small. Here the large parts are cancelled on paper, as Loader (2000) does for the binomial.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from vaekit.families.scale import SMALLEST

Link = Callable[[Tensor], Tensor]
"""From any number to a positive one."""

_STIRLING_FROM = 10.0
_LINEAR_FROM = 15.0
HALF_LOG_TAU = math.log(2 * math.pi) / 2


def exponential(raw: Tensor) -> Tensor:
    r"""The log link, :math:`e^{raw}`; above :math:`e^{15}` it goes on along its tangent, so that it never overflows.

    It has a floor of 1e-6, as `positive` has.

    >>> exponential(torch.tensor([-1000.0, 0.0, 1000.0])).isfinite().all()
    tensor(True)
    """
    beyond = (raw - _LINEAR_FROM).clamp(min=0)
    return raw.clamp(max=_LINEAR_FROM).exp() * (1 + beyond) + SMALLEST


def shares(logit: Tensor) -> tuple[Tensor, Tensor]:
    """A mean in (0, 1) by its logit, and 1 - mean; neither is below 1e-6."""
    mean, rest = torch.sigmoid(logit), torch.sigmoid(-logit)
    return SMALLEST + (1 - 2 * SMALLEST) * mean, SMALLEST + (1 - 2 * SMALLEST) * rest


def log_ratio(a: Tensor, b: Tensor, difference: Tensor) -> Tensor:
    """log(a / b) by a - b, with all its digits where a is near b too. Both are positive, b no less than 1e-12.

    The difference is passed, as it may be known better than a and b themselves.
    """
    near = torch.log1p((difference / b).clamp(min=-0.5))
    return torch.where(difference > -b / 2, near, a.log() - b.log())


def stirling_error(a: Tensor) -> Tensor:
    r"""What Stirling's formula leaves: :math:`\log \Gamma(a) - (a - 1/2) \log a + a - \log(2 \pi) / 2`, for a > 0."""
    small, inverse = a.clamp(max=_STIRLING_FROM), 1 / a.clamp(min=_STIRLING_FROM)
    exact = torch.lgamma(small) - (small - 0.5) * small.log() + small - HALF_LOG_TAU
    square = inverse * inverse
    series = 1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))
    return torch.where(a < _STIRLING_FROM, exact, inverse * series)


def factorial_excess(k: Tensor) -> Tensor:
    """log k! - (k log k - k), for whole numbers from 0 on."""
    some = k.clamp(min=1)
    return torch.where(k > 0, HALF_LOG_TAU + some.log() / 2 + stirling_error(some), 0.0)


def times_log_ratio(k: Tensor, a: Tensor, difference: Tensor) -> Tensor:
    """k log(k / a), which is 0 for k = 0; `difference` is k - a."""
    return k * log_ratio(k.clamp(min=1), a, difference)


def log_logistic_mass(upper: Tensor, lower: Tensor, width: Tensor) -> Tensor:
    r"""log of the mass of a standard logistic between two points that are `width` apart.

    .. math:: \log(\sigma(u) - \sigma(l)) = \log \sigma(u) + \log \sigma(-l) + \log(1 - e^{l - u})

    None of the three cancels. The width is passed, as u - l would lose its digits.
    """
    return logsigmoid(upper) + logsigmoid(-lower) + log_rise(width)


def log_rise(width: Tensor) -> Tensor:
    """log(1 - e^-width), for a positive width."""
    return torch.log(-torch.expm1(-width))
