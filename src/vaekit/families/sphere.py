"""Distributions on the unit sphere in any number of dimensions, by the angle to an axis."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid, normalize

from vaekit.core.notation import LAWS
from vaekit.families.closed_form import kl_of

NONE = Size()


class Sphere(Constraint):
    """Vectors of length 1."""

    event_dim = 1
    measure = "area of the sphere"
    TOLERANCE = 1e-4

    def check(self, value: Tensor) -> Tensor:
        """Whether each vector has length 1, up to rounding."""
        near: Tensor = (value.norm(dim=-1) - 1).abs() < self.TOLERANCE
        return near

    def __repr__(self) -> str:
        return "vectors of length 1"


sphere = Sphere()


def log_area(dimensions: int) -> float:
    """log of the area of the unit sphere in so many dimensions.

    >>> round(math.exp(log_area(2)) / math.pi, 12), round(math.exp(log_area(3)) / math.pi, 12)  # circle, ball
    (2.0, 4.0)
    """
    return math.log(2) + dimensions / 2 * math.log(math.pi) - math.lgamma(dimensions / 2)


class UniformOnSphere(Distribution):
    """The uniform distribution on the sphere, in as many dimensions as `like` has, `(*batch, D)`.

    >>> circle = UniformOnSphere(torch.zeros(2))
    >>> round(float(circle.log_prob(circle.sample()).exp()) * 2 * math.pi, 5)
    1.0
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"like": constraints.real_vector}
    support = sphere
    has_rsample = True

    def __init__(self, like: Tensor, validate_args: bool | None = None) -> None:
        self.like = like
        super().__init__(like.shape[:-1], like.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Size, _instance: None = None) -> UniformOnSphere:  # type: ignore[override]
        """The same distribution over more."""
        return UniformOnSphere(self.like.expand(*batch_shape, -1))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of one over the area."""
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        return value.new_full(shape, -log_area(self.event_shape[0]))

    def entropy(self) -> Tensor:
        """The logarithm of the area."""
        return self.like.new_full(self.batch_shape, log_area(self.event_shape[0]))

    @property
    def mean(self) -> Tensor:
        """The centre of the sphere."""
        return torch.zeros_like(self.like)

    @property
    def variance(self) -> Tensor:
        """1 / D for each coordinate."""
        return torch.full_like(self.like, 1 / self.event_shape[0])

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Normal draws, brought to length 1."""
        return _directions(self.like.new_empty(self._extended_shape(Size(sample_shape))))


LAWS[UniformOnSphere] = lambda like: "uniform on the unit sphere"


def _directions(like: Tensor) -> Tensor:
    return normalize(torch.randn_like(like), dim=-1)


class AroundAxis(Distribution, ABC):
    r"""A distribution on the sphere whose density depends on the angle to an axis, :math:`p(x) \propto e^{t(x)}`.

    All is written in the log-odds y of how far x lies from the axis :math:`\mu` on the way to its antipode,
    :math:`\sigma(y) = (1 - \mu \cdot x) / 2 = |x - \mu|^2 / 4`. Its density is that of a line,

    .. math:: p(y) \propto e^{t(y)} \, [\sigma(y) \, \sigma(-y)]^{(D - 1) / 2} ,

    smooth, with one mode and falling tails, for which the trapezoidal rule after y = mode + width sinh(u) converges
    geometrically. So the normaliser, the mean, the entropy and their gradients hold to rounding for every D and
    concentration, without a Bessel function.

    A draw turns with its axis, and moves along y as its distribution function does when the concentration changes
    (implicit reparameterisation: Figurnov, Mohamed and Mnih, 2018): the gradient of a draw is unbiased.

    Args:
        loc: the axis, of length 1, `(*batch, D)`.
        concentration: `(*batch)`, 0 or more; at 0 the distribution is uniform.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"loc": sphere, "concentration": constraints.nonnegative}
    support = sphere
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor) -> None:
        self.loc, self.concentration = loc, concentration
        self.half = (loc.shape[-1] - 1) / 2
        super().__init__(concentration.shape, loc.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Size, _instance: None = None) -> AroundAxis:  # type: ignore[override]
        """The same distribution with its parameters broadcast."""
        return type(self)(self.loc.expand(*batch_shape, -1), self.concentration.expand(batch_shape))

    @abstractmethod
    def _tilt(self, concentration: Tensor, y: Tensor) -> Tensor:
        """t(y), 0 at the axis; linear in the concentration."""

    @abstractmethod
    def _mode(self) -> tuple[Tensor, Tensor]:
        """Where p(y) is greatest: sigma(y), and minus the second derivative of log p(y), `(*batch)`."""

    @abstractmethod
    def _draw(self, shape: Size) -> Tensor:
        """Draws of y."""

    def _potential(self, concentration: Tensor, y: Tensor) -> Tensor:
        """log p(y), not normalised."""
        return self._tilt(concentration, y) + self.half * (logsigmoid(y) + logsigmoid(-y))

    def _nodes(self) -> tuple[Tensor, Tensor]:
        """Points on the line of y and the logarithms of their weights, `(*batch, node)`."""
        with torch.no_grad():
            at, curvature = self._mode()
            u = torch.linspace(-4.8, 4.8, 97, dtype=at.dtype, device=at.device)
            width = curvature.rsqrt().unsqueeze(-1)
            y = torch.logit(at).unsqueeze(-1) + width * u.sinh()
            return y, (width * u.cosh() * (u[1] - u[0])).log()

    def _log_masses(self) -> tuple[Tensor, Tensor]:
        """The points of y and the logarithms of their masses, not normalised."""
        y, log_weight = self._nodes()
        return y, log_weight + self._potential(self.concentration.unsqueeze(-1), y)

    def _log_normaliser(self) -> Tensor:
        """log of the mean of exp(t) over the sphere."""
        log_uniform = 2 * math.lgamma(self.half) - math.lgamma(2 * self.half)
        return self._log_masses()[1].logsumexp(-1) - log_uniform

    def _expectation(self, values: Tensor, log_masses: Tensor) -> Tensor:
        return (log_masses.softmax(-1) * values).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), the density over the sphere's area."""
        near, far = ((value - sign * self.loc).square().sum(-1) / 4 for sign in (1, -1))
        y = near.clamp(min=_tiny(near)).log() - far.clamp(min=_tiny(far)).log()
        return self._tilt(self.concentration, y) - self._log_normaliser() - log_area(self.event_shape[0])

    def divergence(self) -> Tensor:
        """The KL divergence from the uniform distribution, `(*batch)`."""
        y, log_masses = self._log_masses()
        tilt = self._expectation(self._tilt(self.concentration.unsqueeze(-1), y), log_masses)
        return tilt - self._log_normaliser()

    def entropy(self) -> Tensor:
        """The entropy over the sphere's area."""
        return log_area(self.event_shape[0]) - self.divergence()

    @property
    def cosine(self) -> Tensor:
        """The mean of the cosine of the angle to the axis, also known as the mean resultant length."""
        y, log_masses = self._log_masses()
        return -self._expectation(torch.tanh(y / 2), log_masses)

    @property
    def mean(self) -> Tensor:
        """The mean of x, along the axis and inside the sphere."""
        return self.cosine.unsqueeze(-1) * self.loc

    @property
    def mode(self) -> Tensor:
        """The axis."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate."""
        y, log_masses = self._log_masses()
        square = self._expectation(torch.tanh(y / 2).square(), log_masses).unsqueeze(-1)
        across = (1 - square) / (2 * self.half)
        along = square - self.cosine.square().unsqueeze(-1)
        return across + (along - across) * self.loc.square()

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Draws with a pathwise gradient in the axis and the concentration."""
        shape = self._extended_shape(Size(sample_shape))
        with torch.no_grad():
            y, axis = self._draw(shape[:-1]), self.loc.expand(shape)
            across = _directions_across(axis)
        return self._turned(_at_angle(self._moved(y), axis, across), axis)

    def _turned(self, x: Tensor, axis: Tensor) -> Tensor:
        """x with the gradient of turning with the axis, in the plane of the axis and its change."""
        change = self.loc - axis
        along, pull = ((x.detach() * other).sum(-1, keepdim=True) for other in (axis, change))
        return x + change * along - axis * pull

    def _moved(self, y: Tensor) -> Tensor:
        """y with the gradient of moving as the distribution function does with the concentration."""
        if not (torch.is_grad_enabled() and self.concentration.requires_grad):
            return y
        return y + self._slope(y) * (self.concentration - self.concentration.detach())

    @torch.no_grad()
    def _slope(self, y: Tensor) -> Tensor:
        r"""dy / dk at a fixed value of the distribution function: :math:`-\partial_k F(y) / p(y)`.

        The integral is taken over the tail beyond y, on the side away from the mode, where p falls.
        """
        at, curvature = self._mode()
        u = torch.linspace(-3.4, 4.2, 72, dtype=y.dtype, device=y.device)
        steps = curvature.rsqrt().unsqueeze(-1) * (u - (-u).exp()).exp()
        side = torch.where(y < torch.logit(at), -1.0, 1.0).unsqueeze(-1)
        beyond = y.unsqueeze(-1) + side * steps
        concentration, one = self.concentration.unsqueeze(-1), torch.ones_like(y).unsqueeze(-1)
        fall = self._potential(concentration, beyond) - self._potential(concentration, y.unsqueeze(-1))
        nodes, log_masses = self._log_masses()
        surplus = self._tilt(one, beyond) - self._expectation(self._tilt(one, nodes), log_masses).unsqueeze(-1)
        return (side * surplus * fall.exp() * steps * (1 + (-u).exp())).sum(-1) * (u[1] - u[0])


def _directions_across(axis: Tensor) -> Tensor:
    """Directions at right angles to the axis; what is across is taken twice, as the first time may leave rounding."""
    direction = torch.randn_like(axis)
    for _ in range(2):
        direction = normalize(direction - (direction * axis).sum(-1, keepdim=True) * axis, dim=-1)
    return direction


def _at_angle(y: Tensor, axis: Tensor, across: Tensor) -> Tensor:
    """The point at log-odds y from the axis, in a direction across it."""
    cosine, sine = -torch.tanh(y / 2), 2 * ((logsigmoid(y) + logsigmoid(-y)) / 2).exp()
    return cosine.unsqueeze(-1) * axis + sine.unsqueeze(-1) * across


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny


@kl_of(AroundAxis, UniformOnSphere)
def _kl_from_uniform(p: AroundAxis, q: UniformOnSphere) -> Tensor:
    return p.divergence()
