"""Every family of both registries, held against its own density: a new registry line is tested by being there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from families.held_to_account import (
    DRAWS,
    ROUGH,
    assert_draws_fit_the_distribution_function,
    assert_draws_follow_the_density,
    assert_mean,
    assert_mean_is_right,
    assert_sums_to_one,
    draws_of,
    waves,
)
from families.quadrature import bounded, expectation, is_sure, mean_of, points_of
from vaekit.common.errors import UsageError
from vaekit.core import Family
from vaekit.families import LIKELIHOODS, POSTERIORS
from vaekit.families.registry import FamilyFor

FAMILIES = {f"{kind.what} {name}": make for kind in (LIKELIHOODS, POSTERIORS) for name, make in kind.items()}
VECTOR, MAP = Size((12,)), Size((2, 3, 2))
BATCH = 3

every_family = pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
one_or_two_coordinates = pytest.mark.parametrize("dimensions", [1, 2])


def awake(make: FamilyFor, event: Size) -> Family:
    """The family in float64, with parameters of its own that are not where they start."""
    family = make(event).double()
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return family


def of_vectors(make: FamilyFor, dimensions: int) -> Family:
    """The family of vectors of so many coordinates; a test is skipped where it has none."""
    family = awake(make, Size((dimensions,)))
    if (refusal := refusal_of(family, Size((dimensions,)))) is not None:
        pytest.skip(refusal)
    return family


def refusal_of(family: Family, event: Size) -> str | None:
    """Why a family has no events of this shape, or None."""
    try:
        family.width(event)
    except UsageError as refusal:
        return str(refusal)
    return None


def distribution_of(make: FamilyFor, dimensions: int) -> tuple[Family, Distribution]:
    """A family and its distribution for random parameters, less far apart where ends of a support may be singular."""
    family = of_vectors(make, dimensions)
    params = params_for(family, Size((dimensions,)))
    return family, family(0.4 * params if bounded(family.support, dimensions) else params)


def params_for(family: Family, event: Size, samples: int = 1) -> Tensor:
    return torch.randn(samples, BATCH, *family.params_shape(event)).double()


def values_of(family: Family, params: Tensor, samples: int = 1) -> Tensor:
    """Draws (samples, batch, *event)."""
    return family(params).expand(Size((samples, BATCH))).sample()


def slack_of(family: Family, dimensions: int) -> float:
    """More than the quadrature's error: for masses bounded by draws (dequantisation), and for singular ends."""
    if family.density(torch.zeros(1)).kind.startswith("lower bound"):
        return 0.01
    return 0.003 if bounded(family.support, dimensions) else 0.0


@every_family
@one_or_two_coordinates
def test_the_density_sums_to_one(make: FamilyFor, dimensions: int) -> None:
    family, distribution = distribution_of(make, dimensions)
    assert_sums_to_one(distribution, dimensions, slack_of(family, dimensions))


@every_family
@one_or_two_coordinates
def test_draws_follow_the_density(make: FamilyFor, dimensions: int) -> None:
    family, distribution = distribution_of(make, dimensions)
    assert_draws_follow_the_density(distribution, dimensions, slack_of(family, dimensions))


@every_family
def test_draws_fit_the_distribution_function(make: FamilyFor) -> None:
    assert_draws_fit_the_distribution_function(distribution_of(make, 1)[1])


@every_family
@one_or_two_coordinates
def test_the_mean_is_that_of_the_density(make: FamilyFor, dimensions: int) -> None:
    family, distribution = distribution_of(make, dimensions)
    assert_mean_is_right(distribution, dimensions, slack_of(family, dimensions))


@every_family
@one_or_two_coordinates
def test_the_gradient_of_a_draw_is_that_of_the_expectation(make: FamilyFor, dimensions: int) -> None:
    """Where draws have a pathwise gradient, its mean is the gradient of E f, which the density gives exactly."""
    family = of_vectors(make, dimensions)
    params = params_for(family, Size((dimensions,)))
    params = (0.4 * params if bounded(family.support, dimensions) else params).requires_grad_()
    if not family(params).has_rsample or getattr(family, "biased", False):
        pytest.skip("draws have no pathwise gradient, or a biased one, and say so")
    (exact,) = torch.autograd.grad(expectation(family(params), dimensions, waves).sum(), params)
    each = params.detach().expand(DRAWS, *params.shape[1:]).clone().requires_grad_()
    (pathwise,) = torch.autograd.grad(waves(family(each).rsample()).sum(), each)
    assert_mean(pathwise, exact[0], 5 * (ROUGH[dimensions] + slack_of(family, dimensions)))


@every_family
@pytest.mark.parametrize("event", [VECTOR, MAP], ids=["vector", "map"])
def test_log_prob_is_sample_by_batch_and_draws_are_events(make: FamilyFor, event: Size) -> None:
    family = awake(make, event)
    for params in readable(family, event, samples=4):
        distribution = family(params)
        draws, mean = distribution.sample(), mean_of(distribution)
        assert draws.shape == (4, BATCH, *event)
        assert mean is None or mean.shape == (4, BATCH, *event)
        assert distribution.log_prob(draws).shape == (4, BATCH)


def readable(family: Family, event: Size, samples: int = 1) -> Iterator[Tensor]:
    """Parameters for an event of this shape, or none where the family refuses maps by a `UsageError`."""
    refusal = refusal_of(family, event) if event == MAP else None
    if refusal is None:
        yield params_for(family, event, samples)
    else:
        assert str(tuple(event)) in refusal


@every_family
def test_a_map_is_one_vector_for_each_of_its_positions(make: FamilyFor) -> None:
    """Blocks lie along the first axis, so that each position has its own: positions are as good as a batch."""
    of_map, of_vector = awake(make, MAP), make(Size(MAP[:1])).double()
    share_parameters(of_map, of_vector)
    if of_map.density(torch.zeros(1)).kind.startswith("lower bound"):
        pytest.skip("its log-probability is a draw")
    for params in readable(of_map, MAP):
        x = values_of(of_map, params)
        found = of_map(params).log_prob(x)
        by_position = of_vector(as_batch(params)).log_prob(as_batch(x))
        torch.testing.assert_close(found, by_position.reshape(1, BATCH, -1).sum(-1), rtol=1e-10, atol=1e-10)
        if mean_of(of_map(params)) is not None:
            torch.testing.assert_close(as_batch(of_map(params).mean), of_vector(as_batch(params)).mean)


def share_parameters(of_map: Family, of_vector: Family) -> None:
    """Give both the vector's parameters and buffers, the same at every position of the map."""
    for ours, theirs in zip(of_map.state_dict().values(), of_vector.state_dict().values(), strict=True):
        missing = (1,) * (ours.dim() - theirs.dim())
        ours.copy_(theirs.reshape((*theirs.shape, *missing)).expand(ours.shape))


def as_batch(value: Tensor) -> Tensor:
    """(1, batch, C, *positions) to (1, batch * positions, C)."""
    return value.flatten(3).movedim(2, -1).flatten(1, 2)


@every_family
def test_the_density_has_a_gradient_in_every_parameter(make: FamilyFor) -> None:
    family = awake(make, Size((3,)))
    params = params_for(family, Size((3,))).requires_grad_()
    if is_sure(family(params)):
        pytest.skip("a point has no density")
    family(params).log_prob(values_of(family, params, samples=7)).sum().backward()
    for name, parameter in [("params", params), *family.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).all(), name


@every_family
@one_or_two_coordinates
@pytest.mark.parametrize("extreme", [-50.0, -30.0, 30.0, 50.0])
def test_extreme_parameters_leave_density_and_gradient_finite(make: FamilyFor, dimensions: int, extreme: float) -> None:
    """In float32, over the support: all parameters of a single coordinate, or each parameter of two alone."""
    family = of_vectors(make, dimensions).float()
    width = family.width(Size((dimensions,)))
    alone = torch.where(torch.eye(width) == 1, extreme, 0.1 * torch.ones(width, width))
    params = (alone if dimensions == 2 else torch.full((1, width), extreme)).unsqueeze(0).requires_grad_()
    distribution = family(params)
    if is_sure(distribution):
        pytest.skip("a point has no density")
    log_prob = distribution.log_prob(points_of(distribution, dimensions))
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    for parameter in (params, *family.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@every_family
def test_draws_are_values_that_the_family_can_explain_by_a_density_of_the_right_name(make: FamilyFor) -> None:
    """A probability mass is summed, a density integrated."""
    family, distribution = distribution_of(make, 2)
    draws = draws_of(distribution, 500)
    assert family.support.check(draws).all()
    density, support = family.density(draws), distribution.support
    assert density.is_likelihood
    assert support is not None
    assert density.kind.endswith("probability mass" if support.is_discrete else "probability density")
