"""What a density is one by: two densities can be set against each other only where that is the same for both."""

from __future__ import annotations

import math

from torch import Size
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError

OUTSIDE_DRAWS = 100
"""Draws of a posterior that are held against the support of its prior."""


def measure_of(distribution: Distribution) -> str | None:
    """Counting, for discrete values; volume; or the area of a curved support. None where the support is not told.

    A constraint of a curved support says which it is by an attribute `measure`.

    >>> import torch
    >>> from torch.distributions import Bernoulli, Dirichlet, Normal
    >>> [measure_of(each) for each in (Bernoulli(0.5), Normal(0.0, 1.0), Dirichlet(torch.ones(3)))]
    ['counting', 'volume', 'area of the simplex']
    """
    support = _support(distribution)
    if support is None:
        return None
    if support.is_discrete:
        return "counting"
    if support is constraints.simplex:
        return "area of the simplex"
    measure: str = getattr(support, "measure", "volume")
    return measure


def _support(distribution: Distribution) -> Constraint | None:
    try:
        support: Constraint | None = distribution.support
    except NotImplementedError:
        return None
    return getattr(support, "base_constraint", support)


def ends_of(distribution: Distribution) -> tuple[float, float] | None:
    """Between which numbers the values of a density by volume lie; None where that is not told in plain numbers.

    >>> from torch.distributions import Gamma, Normal
    >>> ends_of(Normal(0.0, 1.0)), ends_of(Gamma(1.0, 1.0))
    ((-inf, inf), (0.0, inf))
    """
    support = _support(distribution)
    if support is None or measure_of(distribution) != "volume":
        return None
    low = getattr(support, "lower_bound", -math.inf)
    high = getattr(support, "upper_bound", math.inf)
    plain = isinstance(low, int | float) and isinstance(high, int | float)
    return (float(low), float(high)) if plain else None


def refuse_unlike(name: str, posterior: Distribution, prior: Distribution) -> None:
    """Refuse a latent whose posterior and prior are densities of different kinds, as a discrete and a continuous one.

    So are one of positive numbers and one of all: where either has a density that the other lacks, what is estimated
    of log p(x) is no number, or never comes near.

    Raises `UsageError` that names the latent and both supports.
    """
    for of in (measure_of, ends_of):
        ours, theirs = of(posterior), of(prior)
        if ours is not None and theirs is not None and ours != theirs:
            raise _unlike(name, posterior, prior)


def refuse_draws_outside(name: str, posterior: Distribution, prior: Distribution) -> None:
    """Refuse a discrete posterior that draws values which its prior cannot have, as several bits for one of classes.

    Raises `UsageError` likewise.
    """
    support = _support(prior)
    if support is not None and measure_of(prior) == "counting":
        drawn = posterior.sample(Size((OUTSIDE_DRAWS,)))
        if not bool(support.check(drawn).all()):
            raise _unlike(name, posterior, prior)


def _unlike(name: str, posterior: Distribution, prior: Distribution) -> UsageError:
    return UsageError(
        f"the posterior of {name!r} draws {_support(posterior)}, but its prior is over {_support(prior)}: "
        "take a prior of the same kind"
    )
