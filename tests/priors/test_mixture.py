from __future__ import annotations

import copy

import pytest
import torch
from torch import Size, Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal
from torch.distributions import Normal as TorchNormal

from families.held_to_account import (
    assert_draws_follow_the_density,
    assert_mean,
    assert_mean_is_right,
    assert_sums_to_one,
)
from vaekit.common.errors import UsageError
from vaekit.families import FullNormal
from vaekit.families.scale import positive
from vaekit.priors import LearnedMixture, Mixture


def awake(prior: LearnedMixture) -> LearnedMixture:
    with torch.no_grad():
        for parameter in prior.double().parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return prior


@pytest.mark.parametrize("family", [None, FullNormal()], ids=["independent", "full"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_mixture_is_a_density_that_its_draws_follow(family: FullNormal | None, dimensions: int) -> None:
    prior = awake(LearnedMixture(dimensions, 3, family))({})
    assert_sums_to_one(prior, dimensions)
    assert_mean_is_right(prior, dimensions)
    assert_draws_follow_the_density(prior, dimensions)


def test_it_is_torchs_mixture_with_the_same_parameters() -> None:
    prior = awake(LearnedMixture(4, 3))
    loc, raw = prior.params.chunk(2, dim=1)
    components = Independent(TorchNormal(loc, positive(raw)), 1)
    expected = MixtureSameFamily(Categorical(logits=prior.logits), components)
    z = torch.randn(5, 2, 4).double()
    torch.testing.assert_close(prior({}).log_prob(z), expected.log_prob(z), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(prior({}).mean[0, 0], expected.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(prior({}).variance[0, 0], expected.variance, rtol=1e-12, atol=1e-12)


def test_in_float32_a_mixture_of_narrow_normals_far_from_0_keeps_its_digits() -> None:
    """Densities and gradients: by products of float32 they would be noise."""
    prior = LearnedMixture(6, 5)
    with torch.no_grad():
        prior.params.copy_(torch.cat([20 + torch.randn(5, 6), torch.full((5, 6), -6.0)], 1))
    z = (prior.params[0, :6] + 2e-3 * torch.randn(3, 4, 6)).detach().requires_grad_()
    found = prior({}).log_prob(z)
    (slope,) = torch.autograd.grad(found.sum(), z)
    wide = copy.deepcopy(prior).double()
    wide_z = z.detach().double().requires_grad_()
    expected = wide({}).each.log_prob(wide_z.unsqueeze(-2)).add(wide.logits.log_softmax(-1)).logsumexp(-1)
    (wide_slope,) = torch.autograd.grad(expected.sum(), wide_z)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(slope.double(), wide_slope, rtol=1e-3, atol=1e-2)


def test_components_are_drawn_in_proportion_to_their_weights() -> None:
    at = torch.tensor([-100.0, 0.0, 100.0])
    weights = torch.tensor([0.5, 0.2, 0.3])
    mixture = Mixture(weights.log(), lambda number: Independent(TorchNormal(at[number][..., None], 1.0), 1))
    draws = mixture.expand(Size((20_000, 1))).sample().squeeze()
    assert_mean((draws.unsqueeze(1) - at).abs().lt(50).double(), weights.double(), slack=0)


def test_a_mixture_over_maps_sums_over_them() -> None:
    prior = LearnedMixture((2, 3, 2), 4).double()
    z = prior({}).expand(Size((6, 5))).sample()
    assert z.shape == (6, 5, 2, 3, 2)
    flat = LearnedMixture(12, 4).double()
    flat.params.data = prior.params.data.flatten(1)
    torch.testing.assert_close(prior({}).log_prob(z), flat({}).log_prob(z.flatten(2)), rtol=1e-12, atol=1e-12)


def test_only_the_components_that_are_drawn_are_asked_for_draws() -> None:
    asked: list[Size] = []

    def at(number: Tensor) -> Independent[TorchNormal]:
        asked.append(number.shape)
        return Independent(TorchNormal(torch.zeros(*number.shape, 2), 1.0), 1)

    Mixture(torch.zeros(1000) - torch.tensor(1000.0).log(), at).expand(Size((3, 4))).sample()
    assert asked == [(1, 1000), (3, 4)]


def test_it_is_a_module_like_any_other() -> None:
    prior = LearnedMixture(3, 5)
    twin = copy.deepcopy(prior)
    assert {name: tuple(value.shape) for name, value in twin.state_dict().items()} == {"params": (5, 6), "logits": (5,)}


def test_no_components_are_refused() -> None:
    with pytest.raises(UsageError, match="mixture of 0 components"):
        LearnedMixture(2, 0)


def test_the_full_family_refuses_a_map() -> None:
    with pytest.raises(UsageError, match=r"\(2, 3\)"):
        LearnedMixture((2, 3), 4, FullNormal())


def test_one_full_component_is_one_full_normal() -> None:
    prior = awake(LearnedMixture(3, 1, FullNormal()))
    alone = FullNormal()(prior.params[None])
    assert isinstance(alone, MultivariateNormal)
    z = torch.randn(4, 1, 3).double()
    torch.testing.assert_close(prior({}).log_prob(z), alone.log_prob(z), rtol=1e-12, atol=1e-12)
