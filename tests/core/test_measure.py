"""Densities of different kinds are not set against each other."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Size
from torch.distributions import Distribution

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Latent, Parametric
from vaekit.core.measure import measure_of, refuse_unlike
from vaekit.families import POSTERIORS, Bernoulli
from vaekit.priors import PRIORS, standard_normal

EVENT = Size((3,))


def posterior(name: str) -> Distribution:
    family = POSTERIORS[name](EVENT)
    made: Distribution = family(torch.randn(1, 2, *family.params_shape(EVENT)))
    return made


GROUPS = [
    (
        {"normal", "full_normal", "low_rank_normal", "gamma", "beta", "concrete_bernoulli"},
        {"standard_normal", "laplace"},
    ),
    ({"von_mises_fisher", "power_spherical"}, {"sphere_uniform"}),
    ({"dirichlet", "concrete_classes"}, {"dirichlet", "soft_classes"}),
    ({"bernoulli", "straight_through_bernoulli", "classes", "soft_classes"}, {"bits", "classes"}),
]


@pytest.mark.parametrize(("ours", "theirs"), list(itertools.product(range(4), repeat=2)))
def test_a_posterior_is_refused_a_prior_of_another_kind(ours: int, theirs: int) -> None:
    for one, other in itertools.product(sorted(GROUPS[ours][0]), sorted(GROUPS[theirs][1])):
        q, p = posterior(one), PRIORS[other](EVENT)({})
        if ours == theirs:
            refuse_unlike("z", q, p)
        else:
            with pytest.raises(UsageError, match=r"the posterior of 'z' draws .*, but its prior is over"):
                refuse_unlike("z", q, p)


def test_every_registered_distribution_says_what_it_is_a_density_by() -> None:
    assert all(measure_of(posterior(name)) for name in POSTERIORS)
    assert all(measure_of(PRIORS[name](EVENT)({})) for name in PRIORS)


def test_a_model_refuses_it_when_it_first_explains() -> None:
    encoder, decoder = (torch.nn.Linear(*sizes) for sizes in ((6, 3), (3, 6)))
    z = Latent(standard_normal(3), Parametric(encoder, Bernoulli(), "x"))
    model = VAE(Parametric(decoder, Bernoulli(), "z"), z=z)
    with pytest.raises(UsageError, match="take a prior of the same kind"):
        model.trace(torch.rand(2, 6))
