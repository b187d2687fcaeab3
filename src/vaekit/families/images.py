"""8-bit images: the mass of each of 256 greys, free or by discretised logistics."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution, MixtureSameFamily
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD
from vaekit.core.density import Density
from vaekit.core.family import Family, over_event
from vaekit.core.notation import at
from vaekit.families.categorical import Levels, levels_last
from vaekit.families.scalars import Dispersed, Elementwise
from vaekit.families.scale import Predicted, Scale
from vaekit.families.special import log_rise
from vaekit.families.supports import BRIGHTEST, LEVELS, Greys, level_of

EIGHT_BIT = Density("8-bit values", "probability mass", level_bits=0.0)


class Levels256(Family):
    r"""Independent 8-bit values by a free probability for each of the 256: x are greys k / 255.

    Parameters are the logits, 256 blocks. The order of the levels is not known to it.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu, 2016.

    >>> print(Levels256().density(torch.zeros(1)))
    probability mass of 8-bit values, in nats per example
    """

    def width(self, event_shape: Size) -> int:
        return LEVELS * event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        return over_event(GreyDistribution(levels_last(params, LEVELS)))

    def written(self, reads: str) -> str:
        return f"Categorical({at('π', reads)}) over 256 greys"

    @property
    def support(self) -> Constraint:
        return Greys()

    def density(self, x: Tensor) -> Density:
        return EIGHT_BIT


class DiscretisedLogistic(Dispersed):
    r"""Independent 8-bit values: a logistic rounded to the nearest grey k / 255, all that lies beyond at the ends.

    .. math:: p(k) = \sigma\left(\frac{k + \frac12 - 255 m}{255 s}\right)
        - \sigma\left(\frac{k - \frac12 - 255 m}{255 s}\right), \qquad p(x \le 0), \; p(x \ge 255)
        \text{ with the open ends}

    Parameters are m - 1/2, then what the scale s needs, both on the scale of the greys in [0, 1].

    Source: Kingma et al., 2016; Salimans et al., 2017.

    >>> from vaekit.families import Known
    >>> family = DiscretisedLogistic(Known(0.1))
    >>> greys = (torch.arange(256) / 255).reshape(-1, 1, 1)
    >>> round(float(family(torch.zeros(1, 1, 1)).log_prob(greys).exp().sum()), 4)
    1.0
    """

    def __init__(self, scale: Scale | None = None) -> None:
        super().__init__(scale)

    def scalars(self, location: Tensor, spread: Tensor) -> Distribution:
        return DiscretisedLogisticDistribution(location + 0.5, spread)

    def written(self, reads: str) -> str:
        return f"DiscretisedLogistic({at('m', reads)}, {self.spread.named('s', reads)})"

    @property
    def support(self) -> Constraint:
        return Greys()

    def density(self, x: Tensor) -> Density:
        return EIGHT_BIT


class DiscretisedLogisticMixture(Family):
    r"""Independent 8-bit values by a mixture of K discretised logistics, :math:`\sum_k \pi_k DL(x; m_k, s_k)`.

    The channels of a pixel are independent given the latents: the autoregression over channels of the source is left
    out, and so are its numbers. Parameters are K blocks of logits of the weights, K of locations, then what the
    scales need. The locations are counted from (k + 1/2) / K, so the components start apart.

    Raises `UsageError` for less than 1 component.

    Source: Salimans et al., 2017.

    >>> DiscretisedLogisticMixture(5).width(Size((3, 32, 32)))
    45
    """

    def __init__(self, components: int = 5, scale: Scale | None = None) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"{components} components: a mixture needs at least 1")
        self.components = components
        self.scale = Predicted() if scale is None else scale

    def width(self, event_shape: Size) -> int:
        return (1 + self.scale.blocks) * self.components * event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        blocks = params.unflatten(LEAD, ((1 + self.scale.blocks) * self.components, -1))
        weights, rest = blocks.tensor_split([self.components], dim=LEAD)
        location, scale = (block.movedim(LEAD, -1) for block in self.scale(rest))
        parts = DiscretisedLogisticDistribution(location + self._apart(location), scale)
        chosen = TorchCategorical(logits=weights.movedim(LEAD, -1), validate_args=False)
        return over_event(MixtureSameFamily(chosen, parts, validate_args=False))

    def _apart(self, like: Tensor) -> Tensor:
        return (torch.arange(self.components, device=like.device).to(like.dtype) + 0.5) / self.components

    def written(self, reads: str) -> str:
        at_k = f"{reads}, k" if reads else "k"
        each = f"DiscretisedLogistic({at('m', at_k)}, {self.scale.named('s', at_k)})"
        return f"Σₖ {at('w', at_k)} {each}, k = 1 … {self.components}"

    @property
    def support(self) -> Constraint:
        return Greys()

    def density(self, x: Tensor) -> Density:
        return EIGHT_BIT

    def extra_repr(self) -> str:
        return f"components={self.components}"


class GreyDistribution(Levels):
    """Independent greys k / 255 by their logits, `(..., 256)`."""

    top = float(BRIGHTEST)
    support = Greys()


class DiscretisedLogisticDistribution(Elementwise):
    """Logistics by location and scale, both in greys, rounded to the nearest grey."""

    support = Greys()

    def log_inside(self, value: Tensor) -> Tensor:
        level, scale = level_of(value), self.params[1]
        upper, lower = self._from_location(level + 1), self._from_location(level)
        not_brightest = torch.where(level < BRIGHTEST, logsigmoid(upper), 0.0)
        not_darkest = torch.where(level > 0, logsigmoid(-lower), 0.0)
        between = torch.where((level > 0) & (level < BRIGHTEST), log_rise(1 / (BRIGHTEST * scale)), 0.0)
        return not_brightest + not_darkest + between

    def _from_location(self, level: Tensor | int) -> Tensor:
        """How many scales the lower edge of a level lies above the location."""
        location, scale = self.params
        return ((level - 0.5) / BRIGHTEST - location) / scale

    @property
    def mean(self) -> Tensor:
        """The mean grey, exactly: the sum of P(x >= k / 255) over k, one level at a time to save memory."""
        total = torch.zeros_like(self.params[0])
        for level in range(1, BRIGHTEST + 1):
            total = total + torch.sigmoid(-self._from_location(level))
        return total / BRIGHTEST

    @property
    def variance(self) -> Tensor:
        """The variance of the grey, from E k^2 = sum of (2 k - 1) P(x >= k / 255)."""
        total = torch.zeros_like(self.params[0])
        for level in range(1, BRIGHTEST + 1):
            total = total + (2 * level - 1) * torch.sigmoid(-self._from_location(level))
        return (total / BRIGHTEST**2 - self.mean**2).clamp(min=0)

    def drawn(self, shape: Size) -> Tensor:
        location, scale = self.wide(shape)
        uniform = torch.rand_like(location).clamp(torch.finfo(location.dtype).tiny, 1 - torch.finfo(location.dtype).eps)
        grey = location + scale * torch.logit(uniform)
        return level_of(grey).clamp(0, BRIGHTEST) / BRIGHTEST
