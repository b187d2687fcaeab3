"""Proportions and other positive latents: their densities, gradients, and divergences from their priors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Size, Tensor
from torch.distributions import Dirichlet as TorchDirichlet
from torch.distributions import constraints, kl_divergence

from core.statistics import assert_mean
from vaekit.common.errors import UsageError
from vaekit.core import Conditional, Family
from vaekit.families import Beta, Dirichlet, Gamma
from vaekit.priors import beta, dirichlet, gamma


def triangle(points: int = 1200) -> tuple[Tensor, Tensor]:
    """Points of the simplex of three, and weights of their first two coordinates; both ends at infinity."""
    u = torch.linspace(-45, 45, points, dtype=torch.float64)
    share, spacing = torch.sigmoid(u), (u[1] - u[0]) * torch.sigmoid(u) * torch.sigmoid(-u)
    first, rest = share.unsqueeze(1), torch.sigmoid(-u).unsqueeze(1)
    x = torch.stack(torch.broadcast_tensors(first, rest * share, rest * torch.sigmoid(-u)), -1)
    return x.reshape(-1, 3), (spacing.unsqueeze(1) * rest * spacing).flatten()


@pytest.mark.parametrize("shift", [-0.5, 0.5, 3.0])
def test_the_density_integrates_to_one_over_all_coordinates_but_the_last(shift: float) -> None:
    q = Dirichlet()(0.3 * torch.randn(1, 1, 3).double() + shift)
    x, weight = triangle()
    mass = q.log_prob(x.unsqueeze(1)).exp().squeeze(1) * weight
    assert abs(float(mass.sum()) - 1) < 1e-4
    torch.testing.assert_close(mass @ x, q.mean.flatten(), rtol=0, atol=1e-4)


def test_the_gradient_of_draws_is_that_of_the_expectation() -> None:
    alpha = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    total = alpha.sum()
    (2 * alpha[0] / total + alpha[1] * (alpha[1] + 1) / (total * (total + 1))).backward()
    many = alpha.detach().expand(100_000, 3).clone().requires_grad_()
    x = TorchDirichlet(many).rsample()
    (2 * x[:, 0] + x[:, 1].square()).sum().backward()
    assert many.grad is not None
    assert alpha.grad is not None
    assert_mean(many.grad, alpha.grad)


@pytest.mark.parametrize("raw", [-60.0, -5.0, 0.0, 20.0, 1e4])
def test_in_float32_draws_and_gradients_are_finite_at_the_extremes(raw: float) -> None:
    params = torch.full((1, 1000, 10), raw, requires_grad=True)
    q = Dirichlet()(params)
    x = q.rsample()
    assert constraints.simplex.check(x).all()
    (q.log_prob(x).sum() + x.square().sum()).backward()
    assert q.log_prob(x).isfinite().all()
    assert params.grad is not None
    assert params.grad.isfinite().all()


def test_a_map_holds_proportions_at_each_position() -> None:
    params = torch.randn(2, 3, 4, 2, 2).double()
    of_map = Dirichlet()(params)
    x = of_map.sample()
    torch.testing.assert_close(x.sum(2), torch.ones(2, 3, 2, 2).double())
    each = [Dirichlet()(params[..., i, j]).log_prob(x[..., i, j]) for i in range(2) for j in range(2)]
    torch.testing.assert_close(of_map.log_prob(x), torch.stack(each).sum(0))
    assert kl_divergence(of_map, dirichlet((4, 2, 2), 0.7).double()({})).shape == (2, 3)


@pytest.mark.parametrize(
    ("family", "prior"),
    [
        (Dirichlet(), dirichlet(3, 0.98)),
        (Gamma(), gamma(3, shape=0.7, rate=2.0)),
        (Beta(), beta(3, a=2.0, b=0.5)),
    ],
)
def test_a_divergence_from_the_prior_in_closed_form_is_that_of_samples(family: Family, prior: Conditional) -> None:
    q, p = family(0.3 * torch.randn(1, 4, family.width(Size((3,)))).double() + 2), prior.double()({})
    draws = q.sample(Size((20_000,)))
    assert_mean(q.log_prob(draws) - p.log_prob(draws), kl_divergence(q, p))


def test_the_uniform_prior_has_the_density_of_the_simplex() -> None:
    log_prob = dirichlet(4)({}).log_prob(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    assert float(log_prob) == pytest.approx(math.log(math.factorial(3)))


def test_what_makes_no_distribution_is_refused() -> None:
    with pytest.raises(UsageError, match=r"2 proportions, not an event of shape \(1,\)"):
        Dirichlet().width(Size((1,)))
    with pytest.raises(UsageError, match="alpha is 0"):
        dirichlet(3, 0.0)
    with pytest.raises(UsageError, match=r"1\.0, -1\.0"):
        gamma(3, 1.0, -1.0)
    with pytest.raises(UsageError, match="positive"):
        beta(3, 0.0)
