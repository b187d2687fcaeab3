"""Counts: Poisson, negative binomial, zero-inflated negative binomial and beta-binomial."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions import Gamma as TorchGamma
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD
from vaekit.core.density import Density
from vaekit.core.family import Family, over_event
from vaekit.core.notation import at, constant
from vaekit.families.continuous import beta_draws
from vaekit.families.scalars import Dispersed, Elementwise
from vaekit.families.scale import Predicted, Scale, positive
from vaekit.families.special import Link, factorial_excess, log_ratio, shares, stirling_error, times_log_ratio
from vaekit.families.supports import WholeUpTo

COUNTS = Density("counts", "probability mass")


class Poisson(Family):
    r"""Independent counts, :math:`\prod_d e^{-r_d} r_d^{x_d} / x_d!`; parameters are the rates before their link.

    Args:
        link: from a parameter to a rate. The softplus of `positive` cannot explode; `exponential`, the log link, spans
            rates of very different size.

    >>> Poisson()(torch.zeros(1, 1, 1)).log_prob(torch.zeros(1))
    tensor([[-1.0000]])
    """

    def __init__(self, link: Link = positive) -> None:
        super().__init__()
        self.link = link

    def width(self, event_shape: Size) -> int:
        return event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        return over_event(PoissonDistribution(self.link(params)))

    def written(self, reads: str) -> str:
        return f"Poisson({at('r', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    def density(self, x: Tensor) -> Density:
        return COUNTS


class NegativeBinomial(Dispersed):
    r"""Independent overdispersed counts by mean m and inverse dispersion r, with the variance :math:`m + m^2 / r`.

    .. math:: p(x) = \frac{\Gamma(x + r)}{\Gamma(r) \, x!} \left(\frac{r}{r + m}\right)^r \left(\frac{m}{r + m}\right)^x

    Parameters are m before its link, then what r needs. As r grows this becomes the Poisson. One r for each
    dimension, `Learned(event_shape)`, is the habit for gene counts.

    Args:
        inverse_dispersion: where r comes from.
        link: from a parameter to m; `exponential` is the log link.

    Source: Lopez et al., 2018 (scVI).

    >>> from vaekit.families import Known
    >>> NegativeBinomial(Known(4.0))(torch.zeros(1, 1, 1)).variance  # 1 + 1/4
    tensor([[[1.2500]]])
    """

    def __init__(self, inverse_dispersion: Scale | None = None, link: Link = positive) -> None:
        super().__init__(inverse_dispersion)
        self.link = link

    def scalars(self, location: Tensor, spread: Tensor) -> Distribution:
        return NegativeBinomialDistribution(self.link(location), spread)

    def written(self, reads: str) -> str:
        return f"NegativeBinomial(mean {at('m', reads)}, inverse dispersion {self.spread.named('r', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    def density(self, x: Tensor) -> Density:
        return COUNTS


class ZeroInflatedNegativeBinomial(Family):
    r"""Independent counts that are 0 with probability g, and negative binomial otherwise.

    .. math:: p(x) = g [x = 0] + (1 - g) \, NB(x; m, r)

    Parameters are m before its link, then what the inverse dispersion r needs, then the logit of g.

    Source: Lopez et al., 2018 (scVI).

    >>> ZeroInflatedNegativeBinomial().width(Size((10,)))
    30
    """

    def __init__(self, inverse_dispersion: Scale | None = None, link: Link = positive) -> None:
        super().__init__()
        self.spread = Predicted() if inverse_dispersion is None else inverse_dispersion
        self.link = link

    def width(self, event_shape: Size) -> int:
        return (self.spread.blocks + 1) * event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        channels = params.shape[LEAD] // (self.spread.blocks + 1)
        head, gate = params.split([self.spread.blocks * channels, channels], dim=LEAD)
        location, inverse_dispersion = self.spread(head)
        return over_event(ZeroInflatedDistribution(self.link(location), inverse_dispersion, gate))

    def written(self, reads: str) -> str:
        counts = f"NegativeBinomial(mean {at('m', reads)}, inverse dispersion {self.spread.named('r', reads)})"
        return f"{at('g', reads)} δ(0) + (1 − {at('g', reads)}) {counts}"

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    def density(self, x: Tensor) -> Density:
        return COUNTS


class BetaBinomial(Dispersed):
    r"""Independent counts out of a known total n, by mean share m and concentration c.

    .. math:: p(x) = \binom{n}{x} \frac{B(x + m c, \, n - x + (1 - m) c)}{B(m c, (1 - m) c)}

    Parameters are the logit of m, then what the concentration needs. As c grows this becomes the binomial.

    Args:
        total: n, one for all dimensions or one for each.
        concentration: where c comes from.

    Raises `UsageError` for a total that is not a whole number of at least 1.

    >>> from vaekit.families import Known
    >>> uniform = BetaBinomial(9, Known(2.0))(torch.zeros(1, 1, 1))
    >>> round(float(uniform.log_prob(torch.full((1,), 4.0)).exp()), 4)
    0.1
    """

    total: Tensor

    def __init__(self, total: int | Tensor, concentration: Scale | None = None) -> None:
        super().__init__(concentration)
        limit = torch.as_tensor(total).to(torch.get_default_dtype())
        if not bool(((limit >= 1) & (limit % 1 == 0)).all()):
            raise UsageError(f"a total of {limit.min():g} to {limit.max():g}: give whole numbers of at least 1")
        self.register_buffer("total", limit)

    def scalars(self, location: Tensor, spread: Tensor) -> Distribution:
        return BetaBinomialDistribution(*shares(location), spread, self.total)

    def written(self, reads: str) -> str:
        shares = f"share {at('m', reads)}, concentration {self.spread.named('c', reads)}"
        return f"BetaBinomial(total {constant(self.total) or 'n'}, {shares})"

    @property
    def support(self) -> Constraint:
        return WholeUpTo(self.total)

    def density(self, x: Tensor) -> Density:
        return Density("counts out of a known total", "probability mass")


class PoissonDistribution(Elementwise):
    """Poisson by its rate; torch's loses its digits for large counts."""

    support = constraints.nonnegative_integer

    def log_inside(self, value: Tensor) -> Tensor:
        (rate,) = self.params
        return value - rate - times_log_ratio(value, rate, value - rate) - factorial_excess(value)

    @property
    def mean(self) -> Tensor:
        """The rate."""
        return self.params[0]

    @property
    def mode(self) -> Tensor:
        """The rate rounded down."""
        return self.params[0].floor()

    @property
    def variance(self) -> Tensor:
        """The rate."""
        return self.params[0]

    def drawn(self, shape: Size) -> Tensor:
        (rate,) = self.wide(shape)
        return torch.poisson(rate)


class NegativeBinomialDistribution(Elementwise):
    """Negative binomial by mean and inverse dispersion, with all digits from one gene in a million to Poisson."""

    support = constraints.nonnegative_integer

    def log_inside(self, value: Tensor) -> Tensor:
        mean, r = self.params
        share = (r + value) * log_ratio(r + value, r + mean, value - mean) - times_log_ratio(value, mean, value - mean)
        errors = stirling_error(r + value) - stirling_error(r) - torch.log1p(value / r) / 2
        return share + errors - factorial_excess(value)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.params[0]

    @property
    def mode(self) -> Tensor:
        """mean (r - 1) / r rounded down, 0 where r is below 1."""
        mean, r = self.params
        return (mean * (r - 1) / r).floor().clamp(min=0)

    @property
    def variance(self) -> Tensor:
        """mean + mean^2 / r."""
        mean, r = self.params
        return mean + mean**2 / r

    def drawn(self, shape: Size) -> Tensor:
        mean, r = self.wide(shape)
        return torch.poisson(TorchGamma(r, r / mean, validate_args=False).sample())


class ZeroInflatedDistribution(Elementwise):
    """Zero-inflated negative binomial by mean and inverse dispersion, and the logit of the gate."""

    support = constraints.nonnegative_integer

    @property
    def counts(self) -> NegativeBinomialDistribution:
        """The negative binomial behind the gate."""
        return NegativeBinomialDistribution(*self.params[:2])

    def log_inside(self, value: Tensor) -> Tensor:
        gate = self.params[2]
        counted = logsigmoid(-gate) + self.counts.log_inside(value)
        return torch.where(value == 0, torch.logaddexp(logsigmoid(gate), counted), counted)

    @property
    def mean(self) -> Tensor:
        """(1 - g) mean."""
        mean, _, gate = self.params
        return torch.sigmoid(-gate) * mean

    @property
    def variance(self) -> Tensor:
        """(1 - g) (variance + g mean^2)."""
        mean, _, gate = self.params
        return torch.sigmoid(-gate) * (self.counts.variance + torch.sigmoid(gate) * mean**2)

    def drawn(self, shape: Size) -> Tensor:
        gate = self.wide(shape)[2]
        counted = torch.rand_like(gate) < torch.sigmoid(-gate)
        return torch.where(counted, self.counts.drawn(shape), 0.0)


class BetaBinomialDistribution(Elementwise):
    """Beta-binomial by mean share, 1 - mean share, concentration and total."""

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        """Whole numbers up to the total."""
        return WholeUpTo(self.params[3])

    def log_inside(self, value: Tensor) -> Tensor:
        mean, rest, c, total = self.params
        a, b, other = mean * c, rest * c, total - value
        shrunk, pull = total / (c + total), c / (c + total) * (value - total * mean)
        successes = times_log_ratio(value, (a + value) * shrunk, pull)
        failures = times_log_ratio(other, (b + other) * shrunk, -pull)
        ways = factorial_excess(total) - factorial_excess(value) - factorial_excess(other)
        return ways - successes - failures + _rise(a, value) + _rise(b, other) - _rise(c, total)

    @property
    def mean(self) -> Tensor:
        """total mean."""
        mean, _, _, total = self.params
        return total * mean

    @property
    def variance(self) -> Tensor:
        """total mean (1 - mean) (c + total) / (c + 1)."""
        mean, rest, c, total = self.params
        return total * mean * rest * (c + total) / (c + 1)

    def drawn(self, shape: Size) -> Tensor:
        mean, rest, c, total = self.wide(shape)
        return torch.binomial(total, beta_draws(mean * c, rest * c))


def _rise(a: Tensor, k: Tensor) -> Tensor:
    """log Gamma(a + k) - log Gamma(a) - (k log(a + k) - k)."""
    return (a - 0.5) * torch.log1p(k / a) + stirling_error(a + k) - stirling_error(a)
