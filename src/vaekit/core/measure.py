"""What a density is one by: two densities can be set against each other only where that is the same for both."""

from __future__ import annotations

from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError


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


def refuse_unlike(name: str, posterior: Distribution, prior: Distribution) -> None:
    """Refuse a latent whose posterior and prior are densities of different kinds, as a discrete and a continuous one.

    Raises `UsageError` that names the latent and both supports.
    """
    ours, theirs = measure_of(posterior), measure_of(prior)
    if ours is not None and theirs is not None and ours != theirs:
        raise UsageError(
            f"the posterior of {name!r} draws {_support(posterior)}, but its prior is over {_support(prior)}: "
            "take a prior of the same kind"
        )
