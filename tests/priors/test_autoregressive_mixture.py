from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from families.held_to_account import (
    assert_draws_follow_the_density,
    assert_mean_is_right,
    assert_sums_to_one,
)
from vaekit.common.errors import UsageError
from vaekit.priors import AutoregressiveFit, AutoregressiveMixture


def awake(prior: AutoregressiveMixture) -> AutoregressiveMixture:
    """One whose coordinates depend on each other, away from unit scale."""
    with torch.no_grad():
        for parameter in prior.double().parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        prior.location.add_(0.5)
        prior.scale.mul_(0.7)
        prior.order.copy_(torch.randperm(len(prior.order)))
    return prior


@pytest.mark.parametrize("dimensions", [1, 2])
def test_it_is_a_density_that_its_draws_follow(dimensions: int) -> None:
    prior = awake(AutoregressiveMixture(dimensions, components=3, width=8))({})
    assert_sums_to_one(prior, dimensions)
    assert_mean_is_right(prior, dimensions, slack=0.01)
    assert_draws_follow_the_density(prior, dimensions)


def test_each_coordinate_sees_those_before_it_and_no_other() -> None:
    prior = awake(AutoregressiveMixture(4, components=3, width=12))

    def told(y: Tensor) -> Tensor:
        return torch.stack(prior.components_of(y)).movedim(1, -1).sum((0, 1))

    sees = jacobian(told, torch.randn(4).double()).abs() > 0
    assert torch.equal(sees, torch.ones(4, 4).tril(-1).bool())


def test_a_coordinate_by_itself_is_told_as_among_all() -> None:
    prior, y = awake(AutoregressiveMixture(3, components=2, width=6)), torch.randn(5, 3).double()
    together = prior.components_of(y)
    for at in range(3):
        alone = prior.components_of(y, slice(at, at + 1))
        for one, every in zip(alone, together, strict=True):
            torch.testing.assert_close(one[..., 0, :], every[..., at, :])


def test_every_parameter_gets_a_gradient() -> None:
    prior = awake(AutoregressiveMixture((2, 2), components=2, width=8))
    prior({}).log_prob(torch.randn(50, 1, 2, 2).double()).mean().backward()
    assert all(bool(parameter.grad.abs().sum() > 0) for parameter in prior.parameters() if parameter.grad is not None)
    assert all(parameter.grad is not None for parameter in prior.parameters())


def clumps(n: int) -> Tensor:
    """A coordinate that is nearly 1 or -1, and one that is nearly the same or nearly 0: four clumps."""
    first = torch.randint(2, (n,)).double() * 2 - 1
    second = torch.where(torch.rand(n) < 0.5, first, 0.0)
    return torch.stack([first, second], 1) + 0.05 * torch.randn(n, 2).double()


def test_clumps_are_followed_where_they_are() -> None:
    prior, _ = AutoregressiveFit(components=6, width=32, updates=600).fit(clumps(4000))
    made = prior({}).sample(torch.Size((4000,))).reshape(-1, 2)
    nearest = made.round()
    assert ((made - nearest).abs() < 0.25).all(1).double().mean() > 0.98
    beside = (nearest[:, 0] * nearest[:, 1] < 0).double().mean()
    assert beside < 0.01, "the coordinates contradict each other"
    shares = torch.stack([(nearest[:, 1] == value).double().mean() for value in (-1, 0, 1)])
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.5, 0.25]).double(), atol=0.05, rtol=0)


def test_codes_that_are_learned_by_heart_are_not_kept() -> None:
    codes = torch.randn(60, 2).double()
    prior, _ = AutoregressiveFit(components=8, width=64, updates=400).fit(codes)
    fresh = torch.randn(2000, 2).double()
    truth = torch.distributions.Normal(0.0, 1.0).log_prob(fresh).sum(-1).mean()
    assert truth - prior({}).log_prob(fresh).mean() < 1.5


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="no coordinates"):
        AutoregressiveMixture(())
    with pytest.raises(UsageError, match="positive"):
        AutoregressiveFit(updates=0)
