"""Data on their own scale: bijections inside a likelihood, and uniform dequantisation for bytes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import AffineTransform, Distribution, Independent, TransformedDistribution, constraints
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import ExpTransform, SigmoidTransform, Transform

from vaekit.common.errors import UsageError
from vaekit.core.density import Density
from vaekit.core.family import Family, over_event
from vaekit.core.notation import term
from vaekit.families.scalars import NO_SHAPE, Shape
from vaekit.families.supports import BRIGHTEST, LEVELS, Greys, OpenInterval, level_of

CONTINUOUS = "probability density"
_FURTHEST = 35.0


class Bijection(nn.Module, ABC):
    """A map, coordinate by coordinate, from the values a family explains to the data: :math:`x = T(y)`."""

    @abstractmethod
    def transforms(self, like: Tensor) -> list[Transform]:
        """T as torch's transforms, the first that is applied first, where `like` is and of its type."""

    @property
    @abstractmethod
    def support(self) -> Constraint:
        """The data that T reaches."""

    @property
    @abstractmethod
    def of(self) -> str:
        """What the data are, in words."""


class Standardise(Bijection):
    r"""The family explains :math:`y = (x - mean) / std`, for data on any scale.

    Args:
        mean: of the data, one number or one for each coordinate of an event.
        std: of the data, likewise.

    Raises `UsageError` for a standard deviation that is not positive.

    >>> heights = torch.tensor([[150.0], [170.0], [190.0]])
    >>> Standardise.of_data(heights).mean
    tensor([170.])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor | float, std: Tensor | float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.get_default_dtype()))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.get_default_dtype()))
        if not bool((self.std > 0).all()):
            raise UsageError(f"a standard deviation of {self.std.min():g}: it must be positive")

    @classmethod
    def of_data(cls, x: Tensor) -> Standardise:
        """From rows `(n, *event)`, each coordinate by its own mean and deviation; what is constant is only shifted."""
        std = x.std(0, correction=0)
        return cls(x.mean(0), torch.where(std > 0, std, torch.ones_like(std)))

    def transforms(self, like: Tensor) -> list[Transform]:
        return [AffineTransform(self.mean.to(like), self.std.to(like))]

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def of(self) -> str:
        return "real values"


class Log(Bijection):
    """The family explains y = log x, for positive data.

    >>> Log().transforms(torch.zeros(1))[0](torch.zeros(1))
    tensor([1.])
    """

    def transforms(self, like: Tensor) -> list[Transform]:
        return [ExpTransform()]

    @property
    def support(self) -> Constraint:
        return constraints.positive

    @property
    def of(self) -> str:
        return "positive values"


class Logit(Bijection):
    r"""The family explains :math:`y = \mathrm{logit}(a + (1 - 2 a) x)`, for data between 0 and 1.

    Args:
        squeeze: a, which keeps 0 and 1 themselves at a finite y; with 0 they cannot be explained.

    Raises `UsageError` for a squeeze outside [0, 1/2).

    Source: Dinh, Sohl-Dickstein and Bengio, 2017.

    >>> Logit().support.check(torch.tensor([0.0, 0.5])), Logit(0.05).support.check(torch.tensor([0.0, 0.5]))
    (tensor([False,  True]), tensor([True, True]))
    """

    def __init__(self, squeeze: float = 0.0) -> None:
        super().__init__()
        if not 0 <= squeeze < 0.5:
            raise UsageError(f"a squeeze of {squeeze}: choose from 0 up to, but not, 1/2")
        self.squeeze = squeeze

    def transforms(self, like: Tensor) -> list[Transform]:
        low, width = -self._beyond, 1 + 2 * self._beyond
        return [SigmoidTransform(), AffineTransform(low, width)] if self.squeeze else [SigmoidTransform()]

    @property
    def _beyond(self) -> float:
        """How far below 0, and above 1, T reaches."""
        return self.squeeze / (1 - 2 * self.squeeze)

    @property
    def support(self) -> Constraint:
        return OpenInterval(-self._beyond, 1 + self._beyond)

    @property
    def of(self) -> str:
        return "values between 0 and 1"

    def extra_repr(self) -> str:
        return f"squeeze={self.squeeze}"


class Transformed(Family):
    r"""A family of data that were brought to its scale by a bijection: what is reported is the density of the data.

    .. math:: \log p(x) = \log p_y(T^{-1}(x)) + \log \Bigl|\det \frac{\partial T^{-1}}{\partial x}(x)\Bigr|

    Args:
        family: of y; a family of densities, as a mass knows no change of variables.
        bijection: T, from y to the data.

    Raises `UsageError` for a family of masses.

    >>> from vaekit.families import Known, Normal
    >>> family = Transformed(Normal(Known()), Standardise(mean=170.0, std=10.0))
    >>> centimetres = family(torch.zeros(1, 1, 1))
    >>> centimetres.mean
    tensor([[[170.]]])
    >>> float(centimetres.log_prob(torch.tensor([170.0])))  # log N(0; 0, 1) - log 10
    -3.2215...
    """

    def __init__(self, family: Family, bijection: Bijection) -> None:
        super().__init__()
        self.family = require_density(family, "a change of variables")
        self.bijection = bijection

    def width(self, event_shape: Size) -> int:
        return self.family.width(event_shape)

    def forward(self, params: Tensor) -> Distribution:
        base, transforms = self.family(params), self.bijection.transforms(params)
        if isinstance(base, Independent):
            return over_event(TransformedScalars(base.base_dist, transforms, validate_args=False))
        return TransformedScalars(base, transforms, validate_args=False)

    def written(self, reads: str) -> str:
        return f"{type(self.bijection).__name__}⁻¹[{term(self.family, reads)}]"

    @property
    def support(self) -> Constraint:
        return Reached(self.bijection, self.family.support)

    def density(self, x: Tensor) -> Density:
        return Density(self.bijection.of, CONTINUOUS)


def require_density(family: Family, what: str) -> Family:
    """The family, refused if it is one of masses."""
    kind = family.density(torch.zeros(1)).kind
    if kind != CONTINUOUS:
        raise UsageError(f"{what} needs a probability density, not the {kind} of {type(family).__name__}")
    return family


class Reached(Constraint):
    """The data that a bijection reaches from a family's own support."""

    def __init__(self, bijection: Bijection, source: Constraint) -> None:
        self.bijection, self.source = bijection, source
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        y = value
        for transform in reversed(self.bijection.transforms(value)):
            y = transform.inv(y)
        explained: Tensor = self.source.check(y)[(..., *[None] * self.source.event_dim)]
        reached: Tensor = self.bijection.support.check(value)
        return explained & reached

    def __repr__(self) -> str:
        return f"{self.bijection.of}, {type(self.bijection).__name__} of {self.source}"


class TransformedScalars(TransformedDistribution):
    """torch's transformed distribution, with a mean."""

    @property
    def mean(self) -> Tensor:
        """The mean of x: exact where T is affine, else by quadrature over the quantiles of y."""
        if all(isinstance(transform, AffineTransform) for transform in self.transforms):
            return self._forward(self.base_dist.mean)
        return mean_by_quantiles(self)

    def _forward(self, y: Tensor) -> Tensor:
        for transform in self.transforms:
            y = transform(y)
        return y


def mean_by_quantiles(distribution: Distribution, step: float = 0.5) -> Tensor:
    r"""The mean of scalars by their quantile function, :math:`\int_0^1 F^{-1}(u) \, du`.

    The trapezoidal rule in the logit of u converges exponentially. Quantiles nearer to 0 and 1 than the rounding error
    are left out, so a mean that a heavy tail carries comes out too small. Raises `NotImplementedError` where the
    distribution has no quantile function.
    """
    total = torch.zeros(())
    for logit in torch.arange(-_FURTHEST, _FURTHEST + step, step, dtype=torch.float64):
        u, rest = torch.sigmoid(logit), torch.sigmoid(-logit)
        total = total + distribution.icdf(u) * u * rest * step
    return total


class Dequantised(Family):
    r"""Bytes under a density, by uniform noise that fills each level: a lower bound of the mass of the levels.

    .. math:: \log P(k) \ge E_{u \sim U(0, 1)} \log p\left(\frac{k + u}{256}\right) - \log 256

    Each `log_prob` draws its noise afresh, for each sample of the latents, from torch's current generator. So many
    importance samples tighten this bound too. x are greys k / 255.

    Args:
        family: of values in (0, 1); density that it puts elsewhere is lost. A `Transformed` by `Logit` fits, or a Beta.

    Raises `UsageError` for a family of masses.

    Source: Theis, van den Oord and Bethge, 2016.

    >>> from vaekit.families import Beta, Known
    >>> flat = Dequantised(Beta(Known(2.0)))(torch.zeros(1, 1, 1))
    >>> round(float(flat.log_prob(torch.ones(1)).exp() * 256), 3)
    1.0
    """

    draws_noise = True

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = require_density(family, "dequantisation")

    def width(self, event_shape: Size) -> int:
        return self.family.width(event_shape)

    def forward(self, params: Tensor) -> Distribution:
        return DequantisedDistribution(self.family(params))

    def written(self, reads: str) -> str:
        return f"8-bit levels of {term(self.family, reads)}, by uniform noise"

    @property
    def support(self) -> Constraint:
        return Greys()

    def density(self, x: Tensor) -> Density:
        return Density("8-bit values", "lower bound of the probability mass", level_bits=0.0)


class DequantisedDistribution(Distribution):
    """Greys k / 255 by a density of values in (0, 1), cut into 256 levels."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = Greys()

    def __init__(self, base: Distribution) -> None:
        self.base = base
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def expand(self, batch_shape: Shape, _instance: None = None) -> DequantisedDistribution:
        """The same distribution, broadcast."""
        return DequantisedDistribution(self.base.expand(Size(batch_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """A draw of the bound, the density of each level's noisy value less log 256 for each dimension."""
        shape = torch.broadcast_shapes(value.shape, self.batch_shape + self.event_shape)
        eps = torch.finfo(value.dtype).eps
        noisy = (level_of(value) + torch.rand(shape, dtype=value.dtype, device=value.device)) / LEVELS
        log_density: Tensor = self.base.log_prob(noisy.clamp(eps, 1 - eps))
        return log_density - math.prod(self.event_shape) * math.log(LEVELS)

    @property
    def mean(self) -> Tensor:
        """The mean grey, if the density is level within each level."""
        return ((LEVELS * self.base.mean - 0.5) / BRIGHTEST).clamp(0, 1)

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Greys, without a gradient."""
        with torch.no_grad():
            level = (LEVELS * self.base.sample(Size(sample_shape))).floor()
            return level.clamp(0, BRIGHTEST) / BRIGHTEST
