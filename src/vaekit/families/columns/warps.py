"""Warps: reversible maps between columns of numbers and values at unit scale, one for each column of a group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import Transform

from vaekit.common.registry import Registry
from vaekit.families.special import HALF_LOG_TAU
from vaekit.families.transformed import Bijection, Log, Standardise

_NEWTON_STEPS = 6
_FAR = 15.0
_HALVINGS = 45


class Chain(Bijection):
    """One map after another; what the second reaches, the first does not narrow.

    >>> chain = Chain(Standardise(1.0, 2.0), Log())
    >>> [transform(torch.zeros(())) for transform in chain.transforms(torch.zeros(()))]
    [tensor(1.), tensor(1.)]
    """

    def __init__(self, first: Bijection, then: Bijection) -> None:
        super().__init__()
        self.first, self.then = first, then

    def transforms(self, like: Tensor) -> list[Transform]:
        return [*self.first.transforms(like), *self.then.transforms(like)]

    @property
    def support(self) -> Constraint:
        return self.then.support

    @property
    def of(self) -> str:
        return self.then.of


class SinhArcsinh(Bijection):
    r"""Skewness and tails: :math:`x = \sinh((\operatorname{arsinh} y + \epsilon) / \delta)`, all reals to all reals.

    Args:
        skew: epsilon; the right tail is the longer one where it is positive.
        tail: delta; below 1, the tails are heavier than those of y.

    Source: Jones and Pewsey, 2009.

    >>> float(SinhArcsinh(0.0, 1.0).transforms(torch.zeros(1))[0](torch.tensor(2.0)))
    2.0
    """

    skew: Tensor
    tail: Tensor

    def __init__(self, skew: Tensor | float, tail: Tensor | float) -> None:
        super().__init__()
        self.register_buffer("skew", torch.as_tensor(skew, dtype=torch.get_default_dtype()), persistent=False)
        self.register_buffer("tail", torch.as_tensor(tail, dtype=torch.get_default_dtype()), persistent=False)

    def transforms(self, like: Tensor) -> list[Transform]:
        return [SinhArcsinhTransform(self.skew.to(like), self.tail.to(like))]

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def of(self) -> str:
        return "real values"


class Real(Transform):
    """An increasing map of the reals onto themselves."""

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = +1
    steep: ClassVar[bool] = False
    """Whether it may rise like a step, so that quadrature for smooth functions would fail."""


class SinhArcsinhTransform(Real):
    """The map of `SinhArcsinh`."""

    def __init__(self, skew: Tensor, tail: Tensor) -> None:
        super().__init__()
        self.skew, self.tail = skew, tail

    def _call(self, x: Tensor) -> Tensor:
        return torch.sinh((torch.asinh(x) + self.skew) / self.tail)

    def _inverse(self, y: Tensor) -> Tensor:
        return torch.sinh(self.tail * torch.asinh(y) - self.skew)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log of dy / dx."""
        return _log_hypot_one(y) - _log_hypot_one(x) - self.tail.log()


def _log_hypot_one(x: Tensor) -> Tensor:
    """log of sqrt(1 + x^2), which is log cosh of arsinh x."""
    return torch.hypot(x, torch.ones_like(x)).log()


class Gaussianise(Bijection):
    r"""Many peaks: :math:`y = \Phi^{-1}(F(x))` is standard normal where x has F, the CDF of a mixture of normals.

    Args:
        weights: of the components along the last axis, `(..., K)`; so are means and deviations.
        means: of the components.
        deviations: of the components.

    >>> two = Gaussianise(torch.tensor([0.5, 0.5]), torch.tensor([-5.0, 5.0]), torch.tensor([1.0, 1.0]))
    >>> bool(two.transforms(torch.zeros(1))[0].inv(torch.tensor(0.0)).abs() < 1e-6)  # 0 is the median of both
    True
    """

    log_weights: Tensor
    means: Tensor
    deviations: Tensor

    def __init__(self, weights: Tensor, means: Tensor, deviations: Tensor) -> None:
        super().__init__()
        for name, value in (("log_weights", weights.log()), ("means", means), ("deviations", deviations)):
            self.register_buffer(name, value, persistent=False)

    def transforms(self, like: Tensor) -> list[Transform]:
        return [QuantileTransform(self.log_weights.to(like), self.means.to(like), self.deviations.to(like))]

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def of(self) -> str:
        return "real values"


class QuantileTransform(Real):
    """Standard normal values to values of a mixture of normals, by equal quantiles; see `Gaussianise`.

    All is computed from the nearer tail and in logarithms, so that no quantile is rounded to 0 or 1.
    """

    def __init__(self, log_weights: Tensor, means: Tensor, deviations: Tensor) -> None:
        super().__init__()
        self.log_weights, self.means, self.deviations = log_weights, means, deviations

    steep = True

    def _standard(self, value: Tensor) -> Tensor:
        """The value as each component's normal sees it."""
        return (value.unsqueeze(-1) - self.means) / self.deviations

    def _log_mass(self, standard: Tensor) -> Tensor:
        """The log-mass of the mixture below a value, as its components see it; above it, if they see its negative."""
        log_mass: Tensor = (self.log_weights + torch.special.log_ndtr(standard)).logsumexp(-1)
        return log_mass

    def _inverse(self, y: Tensor) -> Tensor:
        standard = self._standard(y)
        below, above = self._log_mass(standard), self._log_mass(-standard)
        return torch.where(below < above, 1.0, -1.0) * log_ndtri(torch.minimum(below, above))

    def _call(self, x: Tensor) -> Tensor:
        """By halving: at equal quantiles the value lies between those that the components alone would give."""
        side = torch.where(x < 0, 1.0, -1.0)
        target = torch.special.log_ndtr(side * x)
        alone = self.means + self.deviations * x.unsqueeze(-1)
        low, high = alone.amin(-1), alone.amax(-1)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            found = self._log_mass(side.unsqueeze(-1) * self._standard(middle))
            short = side * (found - target) < 0
            low, high = torch.where(short, middle, low), torch.where(short, high, middle)
        return (low + high) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log phi(x) - log f(y)."""
        standard = self._standard(y)
        log_density = (self.log_weights - self.deviations.log() - standard.square() / 2).logsumexp(-1)
        return -x.square() / 2 - log_density


def log_ndtri(log_mass: Tensor) -> Tensor:
    r"""The y whose normal CDF is :math:`e^{a}`, for :math:`a \le \log 1/2`: no tail is too far.

    Newton's method on the concave log CDF from :math:`-\sqrt{-2 a}`, which lies left of y: it cannot overshoot.

    >>> bool((log_ndtri(torch.tensor([-0.6931472, -1e4])) - torch.tensor([0.0, -141.3796])).abs().max() < 1e-3)
    True
    """
    y = -(-2 * log_mass).sqrt()
    for _ in range(_NEWTON_STEPS):
        log_cdf = torch.special.log_ndtr(y)
        y = y + (log_mass - log_cdf) / _hazard(y, log_cdf)
    return y


def _hazard(y: Tensor, log_cdf: Tensor) -> Tensor:
    """phi(y) / Phi(y), the slope of log Phi; far out by its series, as the quotient's logarithms cancel there."""
    near, far = y.clamp(min=-_FAR), -y.clamp(max=-_FAR)
    quotient = (-near.square() / 2 - HALF_LOG_TAU - log_cdf.clamp(min=-(_FAR**2))).exp()
    return torch.where(y > -_FAR, quotient, far + 1 / far)


def log_normal(mean: Tensor, std: Tensor) -> Bijection:
    """Normal logarithms, by their mean and deviation."""
    return Chain(Standardise(mean, std), Log())


def sinh_arcsinh(skew: Tensor, tail: Tensor, mean: Tensor, std: Tensor) -> Bijection:
    """Skewness and tails, then a location and a scale."""
    return Chain(SinhArcsinh(skew, tail), Standardise(mean, std))


def gaussianise(mean: Tensor, std: Tensor, *mixture: Tensor) -> Bijection:
    """A mixture of standardised values: all weights, then all means, then all deviations."""
    weights, means, deviations = torch.stack(mixture, -1).chunk(3, -1)
    return Chain(Gaussianise(weights, means, deviations), Standardise(mean, std))


WARPS: Registry[Callable[..., Bijection]] = Registry(
    "warp",
    {
        "standardise": Standardise,
        "log": log_normal,
        "sinh_arcsinh": sinh_arcsinh,
        "gaussianise": gaussianise,
    },
)
"""Maps from values at unit scale to a column's, by their numbers, `(columns,)` each: `Marginal.shape` in its order."""


def warp_of(name: str, shapes: Sequence[Sequence[float]]) -> Bijection:
    """The warp of this name of several columns, by the numbers of each.

    >>> warp_of("standardise", [(0.0, 1.0), (170.0, 10.0)]).mean
    tensor([  0., 170.])
    """
    numbers = torch.tensor([list(shape) for shape in shapes], dtype=torch.float64).to(torch.get_default_dtype())
    return WARPS[name](*numbers.unbind(1))


def inward(warp: Bijection, x: Tensor) -> Tensor:
    """Numbers as values at unit scale."""
    for transform in reversed(warp.transforms(x)):
        x = transform.inv(x)
    return x


def outward(warp: Bijection, y: Tensor) -> Tensor:
    """Values at unit scale as numbers."""
    for transform in warp.transforms(y):
        y = transform(y)
    return y
