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
from vaekit.recipes import build

EVENT = Size((3,))


def posterior(name: str) -> Distribution:
    family = POSTERIORS[name](EVENT)
    made: Distribution = family(torch.randn(1, 2, *family.params_shape(EVENT)))
    return made


GROUPS = [
    ({"normal", "full_normal", "low_rank_normal"}, {"standard_normal", "laplace"}),
    ({"gamma"}, {"gamma"}),
    ({"beta", "concrete_bernoulli"}, {"beta", "soft_bits"}),
    ({"von_mises_fisher", "power_spherical"}, {"sphere_uniform"}),
    ({"dirichlet", "concrete_classes"}, {"dirichlet", "soft_classes"}),
    ({"bernoulli", "straight_through_bernoulli", "classes", "soft_classes"}, {"bits", "classes"}),
]


@pytest.mark.parametrize(("ours", "theirs"), list(itertools.product(range(6), repeat=2)))
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


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        ("full_normal", "gamma"),
        ("gamma", "standard_normal"),
        ("straight_through_bernoulli", "autoregressive_classes"),
        ("codebook", "autoregressive_bits"),
    ],
)
def test_a_recipe_refuses_it_when_it_is_built(posterior: str, prior: str) -> None:
    """Their log p(x) of binary rows was up to +404 nats, or missed seven eighths of the mass."""
    with pytest.raises(UsageError, match=r"the posterior of 'z' draws .*, but its prior is over"):
        build("vae", (6,), latent=3, posterior=posterior, prior=prior)


def test_a_flow_of_real_values_is_refused_a_prior_between_0_and_1() -> None:
    model, _ = build("planar_vae", (6,), latent=3, prior="beta")
    with pytest.raises(UsageError, match="the posterior of 'z' draws Real"):
        model.trace(torch.rand(2, 6))
