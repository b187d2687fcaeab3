"""A prior over vectors: each coordinate a mixture of normals, given those before it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import linear, silu

from vaekit.core.conditional import Conditional
from vaekit.core.context import Context
from vaekit.core.notation import Formula, Symbol, density
from vaekit.families.special import HALF_LOG_TAU
from vaekit.flows.distribution import Shape
from vaekit.priors.standard import EventShape, event_of_prior

NARROWEST, WIDEST = -6.0, 3.0
"""The least and the greatest logarithm of a component's deviation, at unit scale."""
APART, WIDTH = 2.0, 0.3
"""As far from 0 components start, and as wide, at unit scale."""
POINTS = 1024
"""Points that a mean is taken over."""
ONE, NONE = Size((1, 1)), Size()
ALL = slice(None)


class Masked(nn.Linear):
    """A linear map that lets an output see only inputs of numbers below its own, or up to it.

    Args:
        numbers: of the inputs, `(inputs,)`.
        most: the greatest number that each output sees, `(outputs,)`.
    """

    mask: Tensor

    def __init__(self, numbers: Tensor, most: Tensor) -> None:
        super().__init__(len(numbers), len(most))
        self.register_buffer("mask", numbers <= most.unsqueeze(1), persistent=False)

    def forward(self, x: Tensor, outputs: slice = ALL) -> Tensor:
        return linear(x, (self.weight * self.mask)[outputs], self.bias[outputs])


class AutoregressiveMixture(Conditional):
    r"""Coordinate by coordinate, :math:`p(z) = \prod_d \sum_k w_k(z_{<d}) \, N(z_d; m_k(z_{<d}), s_k(z_{<d})^2)`.

    Masked layers say the components of all coordinates in one pass; a draw takes as many as there are coordinates.
    Codes of tables lie in clumps, one for each combination of levels, which mixtures follow where a smooth flow from
    one normal cannot. The coordinates that are most like a normal come first, so that the clumps are told by all there
    is to tell them. Of an event with several axes it explains the vector of its values.

    Args:
        event_shape: shape of the latent.
        components: of each coordinate's mixture.
        width: of the hidden layers.

    Raises `UsageError` for an empty shape.

    Sources: Uria, Murray and Larochelle, 2013 (RNADE); Germain et al., 2015 (the masks).

    >>> prior = AutoregressiveMixture(3, components=5, width=16)
    >>> prior({}).log_prob(torch.zeros(4, 2, 3)).shape, prior({}).sample().shape
    (torch.Size([4, 2]), torch.Size([1, 1, 3]))
    """

    location: Tensor
    scale: Tensor
    order: Tensor

    def __init__(self, event_shape: EventShape, components: int = 10, width: int = 256) -> None:
        super().__init__()
        self.event_shape, self.components = event_of_prior(event_shape), components
        size = self.event_shape.numel()
        coordinate, hidden = torch.arange(1, size + 1), torch.arange(width) % size
        self.first = Masked(coordinate, hidden)
        self.then = nn.ModuleList(Masked(hidden, hidden) for _ in range(2))
        self.last = Masked(hidden, (coordinate - 1).repeat_interleave(3 * components))
        self.register_buffer("location", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("order", torch.arange(size))
        self._spread_out()

    @torch.no_grad()
    def _spread_out(self) -> None:
        """Start from components side by side, the same for all coordinates."""
        self.last.weight.mul_(0.1)
        shares, means, log_scales = self.last.bias.view(-1, 3, self.components).unbind(1)
        shares.zero_()
        means.copy_(torch.linspace(-APART, APART, self.components))
        log_scales.fill_(WIDTH).log_()

    def settle(self, codes: Tensor) -> None:
        """Take the mean and the deviation of codes `(n, coordinates)` as unit scale, and the plainest first."""
        self.location.copy_(codes.mean(0))
        self.scale.copy_(codes.std(0).clamp(min=torch.finfo(codes.dtype).eps))
        self.order.copy_(unlike_normal((codes - self.location) / self.scale).argsort())

    def standard(self, z: Tensor) -> Tensor:
        """Vectors `(..., coordinates)` at unit scale and in order."""
        return ((z - self.location) / self.scale)[..., self.order]

    def natural(self, y: Tensor) -> Tensor:
        """The vectors that are so at unit scale and in order."""
        return self.location + self.scale * y[..., self.order.argsort()]

    def components_of(self, y: Tensor, which: slice = ALL) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights, means and log-deviations of these coordinates, `(..., coordinates, K)` each, given those before.

        All at unit scale and in order.
        """
        first = self.first(y)
        inner, outer = self.then
        told = self.last(silu(first + outer(silu(inner(silu(first))))), self._outputs(which))
        shares, means, log_scales = told.unflatten(-1, (-1, 3, self.components)).unbind(-2)
        return shares.log_softmax(-1), means, log_scales.clamp(NARROWEST, WIDEST)

    def _outputs(self, which: slice) -> slice:
        each = 3 * self.components
        return which if which == ALL else slice(which.start * each, which.stop * each)

    def forward(self, context: Context) -> AutoregressiveMixtureDistribution:
        return AutoregressiveMixtureDistribution(self)

    def extra_repr(self) -> str:
        return f"event={tuple(self.event_shape)}, components={self.components}"

    def formula(self, name: str) -> Formula:
        before = f"{name}₁ … {name}_d₋₁"
        coordinate = Symbol(f"{name}_d", f"coordinates of {name}", (self.event_shape.numel(),))
        written = f"Π_d Σₖ wₖ({before}) N({name}_d; mₖ({before}), sₖ({before})²)"
        return Formula(density("p", name, ()), "=", written, symbols=(coordinate,))


class AutoregressiveMixtureDistribution(Distribution):
    """The distribution of an `AutoregressiveMixture`."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = False

    def __init__(self, law: AutoregressiveMixture, lead: Size = ONE) -> None:
        self.law = law
        super().__init__(lead, law.event_shape, validate_args=False)

    @property
    def support(self) -> Constraint:
        """All real events."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: Shape, _instance: None = None) -> AutoregressiveMixtureDistribution:
        """The same distribution, more of them."""
        return AutoregressiveMixtureDistribution(self.law, Size(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density, `(sample, batch)`."""
        y = self.law.standard(value.flatten(-len(self.event_shape)))
        log_weights, means, log_scales = self.law.components_of(y)
        apart = (y.unsqueeze(-1) - means) * (-log_scales).exp()
        each = log_weights - log_scales - apart.square() / 2 - HALF_LOG_TAU
        log_density: Tensor = each.logsumexp(-1).sum(-1) - self.law.scale.log().sum()
        return log_density

    def sample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Draws without a gradient, coordinate by coordinate."""
        lead = Size((*sample_shape, *self.batch_shape))
        like = self.law.location
        uniform, normal = (
            each.to(like).reshape(*lead, -1)
            for each in (torch.rand(lead.numel(), len(like)), torch.randn(lead.numel(), len(like)))
        )
        return self._drawn(uniform, normal)

    @property
    def mean(self) -> Tensor:
        """The mean over fixed points: the same at every call, off by less than 1 % of the spread."""
        size = len(self.law.location)
        points = torch.quasirandom.SobolEngine(2 * size, scramble=True, seed=0).draw(POINTS, dtype=torch.float64)
        uniform, normal = points.clamp(2**-30, 1 - 2**-30).to(self.law.location).chunk(2, -1)
        found: Tensor = self._drawn(uniform, torch.special.ndtri(normal)).mean(0)
        return found.expand(self.batch_shape + self.event_shape)

    @torch.no_grad()
    def _drawn(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """The events that noise stands for: of each coordinate `(..., coordinates)`, which component, and where."""
        y = torch.zeros_like(normal)
        for at in range(y.shape[-1]):
            log_weights, means, log_scales = (each[..., 0, :] for each in self.law.components_of(y, slice(at, at + 1)))
            below = log_weights.exp().cumsum(-1)[..., :-1] < uniform[..., at : at + 1]
            chosen = below.sum(-1, keepdim=True)
            mean, log_scale = (each.gather(-1, chosen).squeeze(-1) for each in (means, log_scales))
            y[..., at] = mean + log_scale.exp() * normal[..., at]
        event: Tensor = self.law.natural(y).unflatten(-1, self.event_shape)
        return event


def unlike_normal(y: Tensor) -> Tensor:
    """How far the values `(n, coordinates)` at unit scale lie from a standard normal's, quantile by quantile.

    >>> normal = torch.special.ndtri((torch.arange(100) + 0.5) / 100)
    >>> unlike_normal(torch.stack([normal, normal.sign()], 1)).round(decimals=1)
    tensor([0.0000, 0.5000])
    """
    steps = (torch.arange(len(y), device=y.device, dtype=y.dtype) + 0.5) / len(y)
    apart: Tensor = (y.sort(0).values - torch.special.ndtri(steps).unsqueeze(1)).abs().mean(0)
    return apart
