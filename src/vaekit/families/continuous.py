"""Continuous families: Laplace, Student's t, log-normal, Gamma and Beta."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions import Gamma as TorchGamma
from torch.distributions import Laplace as TorchLaplace
from torch.distributions import LogNormal as TorchLogNormal
from torch.distributions.constraints import Constraint

from vaekit.core.context import LEAD
from vaekit.core.density import Density
from vaekit.core.family import Family, over_event
from vaekit.core.notation import at
from vaekit.families.scalars import Dispersed, Pathwise
from vaekit.families.scale import Learned, Predicted, Scale, positive
from vaekit.families.special import HALF_LOG_TAU, Link, log_ratio, shares, stirling_error
from vaekit.families.supports import OpenInterval


class Laplace(Dispersed):
    r"""Independent Laplace values, :math:`\prod_d e^{-|x_d - m_d| / b_d} / 2 b_d`: the mode is the nearest in L1.

    Parameters are m, then what the scale b needs.

    >>> family = Laplace()
    >>> family.width(Size((3,)))
    6
    >>> float(family(torch.zeros(1, 1, 6)).log_prob(torch.zeros(3)))  # -3 log 2
    -2.0794...
    """

    def __init__(self, scale: Scale | None = None) -> None:
        super().__init__(scale)

    def scalars(self, location: Tensor, spread: Tensor) -> Distribution:
        return TorchLaplace(location, spread, validate_args=False)

    def written(self, reads: str) -> str:
        return f"Laplace({at('m', reads)}, {self.spread.named('b', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.real

    def density(self, x: Tensor) -> Density:
        return Density("real values", "probability density")


class StudentT(Family):
    r"""Independent Student t values, with tails that let an outlier be one.

    .. math:: p(x) = \frac{\Gamma(\frac{\nu + 1}{2})}{\Gamma(\frac{\nu}{2}) \sqrt{\pi \nu} \, s}
        \left(1 + \frac{(x - m)^2}{\nu s^2}\right)^{-\frac{\nu + 1}{2}}

    Parameters are m, then what the scale s needs, then what the degrees of freedom need.

    Args:
        scale: where s comes from.
        excess: where the degrees of freedom above 2 come from, :math:`\nu = 2 + excess`: mean and variance exist.

    Source: Takahashi et al., 2018 (Student-t VAE).

    >>> from vaekit.families import Known
    >>> StudentT(Known(2.0), excess=Known(3.0))(torch.zeros(1, 1, 4)).variance[0, 0]  # 5/3 of 4
    tensor([6.6667, 6.6667, 6.6667, 6.6667])
    """

    def __init__(self, scale: Scale | None = None, excess: Scale | None = None) -> None:
        super().__init__()
        self.scale = Predicted() if scale is None else scale
        self.excess = Learned(initial=3.0) if excess is None else excess

    def width(self, event_shape: Size) -> int:
        return self._blocks * event_shape[0]

    @property
    def _blocks(self) -> int:
        return self.scale.blocks + self.excess.blocks - 1

    def forward(self, params: Tensor) -> Distribution:
        channels = params.shape[LEAD] // self._blocks
        first = self.scale.blocks * channels
        head, tail = params.split([first, params.shape[LEAD] - first], dim=LEAD)
        location, scale = self.scale(head)
        _, excess = self.excess(torch.cat([location, tail], dim=LEAD))
        return over_event(StudentTDistribution(location, scale, 2 + excess))

    def written(self, reads: str) -> str:
        return f"StudentT({at('m', reads)}, {self.scale.named('s', reads)}, ν = 2 + {self.excess.named('ε', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.real

    def density(self, x: Tensor) -> Density:
        return Density("real values", "probability density")


class LogNormal(Dispersed):
    r"""Independent positive values whose logarithms are normal, :math:`\log x_d \sim N(m_d, s_d^2)`.

    Parameters are m, then what the scale s of the logarithm needs. The mean is :math:`e^{m + s^2 / 2}`.

    >>> float(LogNormal()(torch.zeros(1, 1, 2)).mean)  # e^(1/2)
    1.6487...
    """

    def __init__(self, scale: Scale | None = None) -> None:
        super().__init__(scale)

    def scalars(self, location: Tensor, spread: Tensor) -> Distribution:
        return TorchLogNormal(location, spread, validate_args=False)

    def written(self, reads: str) -> str:
        return f"LogNormal({at('μ', reads)}, {self.spread.named('σ', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.positive

    def density(self, x: Tensor) -> Density:
        return Density("positive values", "probability density")


class Gamma(Dispersed):
    r"""Independent positive values by mean m and shape a, with the variance :math:`m^2 / a`.

    .. math:: p(x) = \frac{(a / m)^a}{\Gamma(a)} x^{a - 1} e^{-a x / m}

    Parameters are m before its link, then what the shape needs. A shape of 1 is the exponential distribution.

    Args:
        shape: where a comes from.
        link: from a parameter to m; `exponential` is the log link.

    >>> from vaekit.families import Known
    >>> float(Gamma(Known(1.0))(torch.zeros(1, 1, 1)).log_prob(torch.ones(1)))  # e^-1
    -1.0
    """

    def __init__(self, shape: Scale | None = None, link: Link = positive) -> None:
        super().__init__(shape)
        self.link = link

    def scalars(self, location: Tensor, spread: Tensor) -> Distribution:
        return GammaDistribution(self.link(location), spread)

    def written(self, reads: str) -> str:
        return f"Gamma(mean {at('m', reads)}, shape {self.spread.named('k', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.positive

    def density(self, x: Tensor) -> Density:
        return Density("positive values", "probability density")


class Beta(Dispersed):
    r"""Independent values strictly between 0 and 1, by mean m and concentration c.

    .. math:: p(x) = \frac{\Gamma(c)}{\Gamma(m c) \Gamma((1 - m) c)} x^{m c - 1} (1 - x)^{(1 - m) c - 1}

    Parameters are the logit of m, then what the concentration needs. The variance is :math:`m (1 - m) / (c + 1)`; a
    concentration of 2 with a mean of 1/2 is uniform.

    Source: Ferrari and Cribari-Neto, 2004 (the parametrisation).

    >>> from vaekit.families import Known
    >>> bool(Beta(Known(2.0))(torch.zeros(1, 1, 1)).log_prob(torch.full((1,), 0.3)).abs() < 1e-6)
    True
    """

    def __init__(self, concentration: Scale | None = None) -> None:
        super().__init__(concentration)

    def scalars(self, location: Tensor, spread: Tensor) -> Distribution:
        return BetaDistribution(*shares(location), spread)

    def written(self, reads: str) -> str:
        return f"Beta(mean {at('m', reads)}, concentration {self.spread.named('c', reads)})"

    @property
    def support(self) -> Constraint:
        return BetaDistribution.support

    def density(self, x: Tensor) -> Density:
        return Density("values between 0 and 1", "probability density")


class StudentTDistribution(Pathwise):
    """Student's t by location, scale and degrees of freedom above 2; torch's loses its digits for many degrees."""

    support = constraints.real

    def log_inside(self, value: Tensor) -> Tensor:
        location, scale, df = self.params
        half = df / 2
        gammas = half * torch.log1p(0.5 / half) - 0.5 + stirling_error(half + 0.5) - stirling_error(half)
        distance = torch.log1p(((value - location) / scale) ** 2 / df)
        return gammas - HALF_LOG_TAU - scale.log() - (df + 1) / 2 * distance

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.params[0]

    @property
    def mode(self) -> Tensor:
        """The location."""
        return self.params[0]

    @property
    def variance(self) -> Tensor:
        """scale^2 df / (df - 2)."""
        _, scale, df = self.params
        return scale**2 * df / (df - 2)

    def drawn(self, shape: Size) -> Tensor:
        location, scale, df = self.wide(shape)
        chi_square = TorchGamma(df / 2, torch.full_like(df, 0.5), validate_args=False).rsample()
        return location + scale * torch.randn_like(df) * (df / chi_square).sqrt()


class GammaDistribution(Pathwise):
    """Gamma by mean and shape: a deviance from the mean, times the shape, and what is left of the normaliser."""

    support = constraints.positive

    def log_inside(self, value: Tensor) -> Tensor:
        mean, shape = self.params
        above = value - mean
        deviance = above / mean - log_ratio(value, mean, above)
        return shape.log() / 2 - HALF_LOG_TAU - stirling_error(shape) - value.log() - shape * deviance

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.params[0]

    @property
    def variance(self) -> Tensor:
        """mean^2 / shape."""
        mean, shape = self.params
        return mean**2 / shape

    def drawn(self, shape: Size) -> Tensor:
        mean, concentration = self.wide(shape)
        return TorchGamma(concentration, concentration / mean, validate_args=False).rsample()


class BetaDistribution(Pathwise):
    """Beta by mean, 1 - mean and concentration: a divergence of the mean from the value, times the concentration."""

    support = OpenInterval(0.0, 1.0)
    somewhere = 0.5

    def log_inside(self, value: Tensor) -> Tensor:
        mean, rest, total = self.params
        a, b, above = mean * total, rest * total, value - mean
        divergence = -mean * log_ratio(value, mean, above) - rest * log_ratio(1 - value, rest, -above)
        normaliser = (a.log() + b.log() - total.log()) / 2 - HALF_LOG_TAU
        errors = stirling_error(total) - stirling_error(a) - stirling_error(b)
        return normaliser + errors - value.log() - torch.log1p(-value) - total * divergence

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.params[0]

    @property
    def variance(self) -> Tensor:
        """mean (1 - mean) / (concentration + 1)."""
        mean, rest, total = self.params
        return mean * rest / (total + 1)

    def drawn(self, shape: Size) -> Tensor:
        mean, rest, total = self.wide(shape)
        return beta_draws(mean * total, rest * total)


def beta_draws(a: Tensor, b: Tensor) -> Tensor:
    """Draws of Beta(a, b) strictly between 0 and 1, however small a and b are; torch's are then all 1/2."""
    share = torch.sigmoid(_log_gamma_draws(a) - _log_gamma_draws(b))
    return share.clamp(torch.finfo(a.dtype).tiny, 1 - torch.finfo(a.dtype).eps)


def _log_gamma_draws(shape: Tensor) -> Tensor:
    """Logarithms of draws of a standard Gamma, as those of g(shape + 1) u^(1 / shape)."""
    above = TorchGamma(shape + 1, torch.ones_like(shape), validate_args=False).rsample()
    return above.log() - torch.empty_like(shape).exponential_() / shape
