"""Priors that are known beforehand, over directions, proportions and discrete values."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Beta, Dirichlet, Distribution, Gamma

from vaekit.common.errors import UsageError
from vaekit.core.conditional import Conditional, Fixed, Settled
from vaekit.core.context import Context
from vaekit.core.family import Family
from vaekit.core.notation import Formula, constant, term
from vaekit.families import Bernoulli, Concrete, OneHot, SoftBits, SoftClasses
from vaekit.families.positions import over_positions
from vaekit.families.sphere import UniformOnSphere
from vaekit.priors.standard import EventShape, event_of_prior


class FixedVectors(Settled):
    """A settled distribution of vectors, the same at each position of an event.

    `make` is a distribution of vectors along the first event axis, the tensors are its parameters,
    `(*positions, D)` each.

    >>> prior = FixedVectors(Dirichlet, concentration=torch.ones(7, 7, 3))
    >>> prior({}).sample().shape
    torch.Size([3, 7, 7])
    """

    def forward(self, context: Context) -> Distribution:
        return over_positions(self.made(), lead=0)


class Neutral(Conditional):
    """A family with all of its parameters 0, which are not learned: uniform bits, uniform classes, soft ones.

    Raises `UsageError` for an empty shape, or one that the family refuses.

    >>> float(Neutral(Bernoulli(), 3)({}).log_prob(torch.ones(1, 1, 3)).exp())  # (1/2)^3
    0.125
    """

    zeros: Tensor

    def __init__(self, family: Family, event_shape: EventShape) -> None:
        super().__init__()
        self.family = family
        shape = family.params_shape(event_of_prior(event_shape))
        self.register_buffer("zeros", torch.zeros(1, 1, *shape), persistent=False)

    def forward(self, context: Context) -> Distribution:
        distribution: Distribution = self.family(self.zeros)
        return distribution

    def formula(self, name: str) -> Formula:
        mean = constant(self.family(self.zeros).mean)
        return Formula(name, "~", term(self.family, "") + (f", mean {mean}" if mean else ""))


def _vectors(event_shape: EventShape, what: str) -> Size:
    """The shape of an event with its vectors last; refused where these have fewer than 2 coordinates."""
    shape = event_of_prior(event_shape)
    if shape[0] < 2:
        raise UsageError(f"a latent of shape {tuple(shape)} holds no {what}: its first axis needs a size of at least 2")
    return Size((*shape[1:], shape[0]))


def _require_positive(what: str, *values: float) -> None:
    if not all(value > 0 for value in values):
        raise UsageError(f"{what} is {', '.join(map(str, values))}: it must be positive")


def sphere_uniform(event_shape: EventShape) -> FixedVectors:
    """Every direction alike: uniform on the unit sphere in this many dimensions, at each position of the event.

    Raises `UsageError` for fewer than 2 dimensions.

    >>> sphere_uniform(20)({}).sample().norm().allclose(torch.tensor(1.0))
    True
    """
    return FixedVectors(UniformOnSphere, like=torch.zeros(_vectors(event_shape, "direction")))


def dirichlet(event_shape: EventShape, alpha: float = 1.0) -> FixedVectors:
    """Proportions of equal concentrations: uniform on the simplex for 1, sparse below it.

    Raises `UsageError` for fewer than 2 proportions and an alpha that is not positive.

    >>> float(dirichlet(3)({}).log_prob(torch.tensor([0.2, 0.3, 0.5])).exp())  # 2!
    2.0...
    """
    _require_positive("alpha", alpha)
    return FixedVectors(Dirichlet, concentration=torch.full(_vectors(event_shape, "proportions"), alpha))


def gamma(event_shape: EventShape, shape: float = 1.0, rate: float = 1.0) -> Fixed:
    """Independent gamma variables; a shape of 1 makes them exponential, one below 1 sparse.

    Raises `UsageError` for a shape or a rate that is not positive.

    >>> float(gamma(2)({}).log_prob(torch.tensor([0.5, 1.5])))  # -(0.5 + 1.5)
    -2.0
    """
    _require_positive("a shape and rate", shape, rate)
    event = event_of_prior(event_shape)
    return Fixed(Gamma, concentration=torch.full(event, shape), rate=torch.full(event, rate))


def beta(event_shape: EventShape, a: float = 1.0, b: float = 1.0) -> Fixed:
    """Independent beta variables; uniform on (0, 1) for a = b = 1.

    Raises `UsageError` for an a or a b that is not positive.

    >>> float(beta(2, a=2.0)({}).log_prob(torch.tensor([0.5, 0.5])))  # (2 * 0.5)^2 = 1
    0.0
    """
    _require_positive("a, b", a, b)
    event = event_of_prior(event_shape)
    return Fixed(Beta, concentration1=torch.full(event, a), concentration0=torch.full(event, b))


def bits(event_shape: EventShape) -> Neutral:
    """Independent fair bits.

    >>> bits(2)({}).mean
    tensor([[[0.5000, 0.5000]]])
    """
    return Neutral(Bernoulli(), event_shape)


def classes(event_shape: EventShape) -> Neutral:
    """One of K classes as a one-hot vector along the first axis, all alike, at each position: `(K, *positions)`.

    >>> float(classes((10, 20))({}).log_prob(classes((10, 20))({}).sample()))  # -20 log 10
    -46.05...
    """
    shape = event_of_prior(event_shape)
    return Neutral(OneHot(len(shape)), shape)


def soft_bits(event_shape: EventShape, temperature: float = 0.5) -> Neutral:
    """The prior of `Concrete(SoftBits())`: soft fair bits, the nearer to 0 and 1 the lower the temperature."""
    return Neutral(Concrete(SoftBits(), temperature), event_shape)


def soft_classes(event_shape: EventShape, temperature: float = 0.5) -> Neutral:
    """The prior of `Concrete(SoftClasses(axes))`: soft classes, the nearer to one-hot the lower the temperature."""
    shape = event_of_prior(event_shape)
    return Neutral(Concrete(SoftClasses(len(shape)), temperature), shape)
