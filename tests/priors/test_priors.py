"""Every prior of the registry, held against its own density."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Size
from torch.distributions import Distribution

from families.held_to_account import (
    assert_draws_fit_the_distribution_function,
    assert_draws_follow_the_density,
    assert_mean_is_right,
    assert_sums_to_one,
)
from families.quadrature import bounded, support_of
from vaekit.common.errors import UsageError
from vaekit.core import Conditional
from vaekit.priors import PRIORS, standard_normal

every_prior = pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
MakePrior = Callable[[Size], Conditional]


def awake(make: MakePrior, *event: int) -> Conditional:
    """The prior in float64, with parameters that are not where they start; a test is skipped where it is refused."""
    try:
        prior = make(Size(event)).double()
    except UsageError as refusal:
        pytest.skip(str(refusal))
    with torch.no_grad():
        for parameter in prior.parameters():
            inputs = parameter.shape[-1] if parameter.dim() == 2 else 1
            parameter.add_(0.3 / inputs**0.5 * torch.randn_like(parameter))
    return prior


def slack_of(prior: Distribution, dimensions: int) -> float:
    """What the quadrature may be off by where ends of the support may be singular."""
    return 0.003 if bounded(support_of(prior), dimensions) else 0.0


@every_prior
@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_prior_is_a_density_that_its_draws_follow(make: MakePrior, dimensions: int) -> None:
    prior = awake(make, dimensions)({})
    assert_sums_to_one(prior, dimensions, slack_of(prior, dimensions))
    assert_draws_follow_the_density(prior, dimensions, slack_of(prior, dimensions))


@every_prior
@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_mean_of_a_prior_is_that_of_its_density(make: MakePrior, dimensions: int) -> None:
    prior = awake(make, dimensions)({})
    assert_mean_is_right(prior, dimensions, slack_of(prior, dimensions))


@every_prior
def test_draws_of_a_prior_fit_its_distribution_function(make: MakePrior) -> None:
    assert_draws_fit_the_distribution_function(awake(make, 1)({}))


@every_prior
@pytest.mark.parametrize("event", [(5,), (3, 4, 2)])
def test_log_prob_sums_over_the_event(make: MakePrior, event: tuple[int, ...]) -> None:
    prior = awake(make, *event)({})
    assert tuple(prior.event_shape) == event
    assert prior.log_prob(prior.expand(Size((4, 3))).sample()).shape == (4, 3)


@every_prior
def test_the_density_has_a_gradient_in_every_parameter(make: MakePrior) -> None:
    prior, at_least_one = awake(make, *latent_of(make)), torch.zeros((), requires_grad=True)
    draws = prior({}).expand(Size((7, 5))).sample()
    (prior({}).log_prob(draws).sum() + at_least_one).backward()
    for name, parameter in prior.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def latent_of(make: MakePrior) -> tuple[int, ...]:
    """A map, so that what an autoregressive prior says of later positions counts too; or a vector."""
    try:
        make(Size((3, 2, 2)))
    except UsageError:
        return (3,)
    return (3, 2, 2)


@every_prior
@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_an_empty_shape_is_refused(make: MakePrior, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        make(Size(shape))


@pytest.mark.parametrize("shape", [3, (3,), (2, 4, 4)])
def test_the_standard_normal_is_standard(shape: int | tuple[int, ...]) -> None:
    event = (shape,) if isinstance(shape, int) else shape
    z = torch.randn(6, 2, *event).double()
    expected = torch.from_numpy(stats.norm.logpdf(z.numpy())).flatten(2).sum(-1)
    torch.testing.assert_close(standard_normal(shape).double()({}).log_prob(z), expected, rtol=1e-12, atol=0)


def test_a_prior_moves_with_the_model_but_is_not_saved() -> None:
    prior = standard_normal(3)
    assert prior.double()({}).sample().dtype == torch.float64
    assert not prior.state_dict()
