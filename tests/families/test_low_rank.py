"""The low-rank normal: against the dense one, in float32 too, and its KL against samples."""

from __future__ import annotations

import pytest
import torch
from torch import Size
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, kl_divergence

from core.statistics import assert_mean, assert_moments
from vaekit.common.errors import UsageError
from vaekit.families import FullNormal, LowRankNormal
from vaekit.families.low_rank import LowRankNormalDistribution


def random(dimensions: int, rank: int, *, spread: float = 1.0, scale: float = 1.0) -> LowRankNormalDistribution:
    loc, factor = torch.randn(3, dimensions).double(), spread * torch.randn(3, dimensions, rank).double()
    return LowRankNormalDistribution(loc, scale * (0.5 + torch.rand(3, dimensions).double()), factor)


def dense(low: LowRankNormalDistribution) -> MultivariateNormal:
    return MultivariateNormal(low.loc, low.factor @ low.factor.mT + torch.diag_embed(low.scale.square()))


@pytest.mark.parametrize(("dimensions", "rank"), [(1, 1), (5, 2), (3, 4), (20, 3)])
def test_it_is_the_dense_normal(dimensions: int, rank: int) -> None:
    low = random(dimensions, rank)
    same, x = dense(low), torch.randn(7, 3, dimensions).double()
    torch.testing.assert_close(low.log_prob(x), same.log_prob(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(low.variance, same.variance)
    torch.testing.assert_close(low.entropy(), same.entropy())
    for mine, theirs in zip(_gradients(low, x), _gradients(low, x, through=dense), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


def _gradients(low: LowRankNormalDistribution, x: torch.Tensor, through=lambda low: low) -> list[torch.Tensor]:  # type: ignore[no-untyped-def]
    parameters = [each.detach().clone().requires_grad_() for each in (low.loc, low.scale, low.factor)]
    through(LowRankNormalDistribution(*parameters)).log_prob(x).sum().backward()
    return [each.grad for each in parameters if each.grad is not None]


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.01, 0.001])
def test_float32_keeps_its_digits_where_the_factor_is_large(scale: float) -> None:
    low = random(20, 4, spread=3.0, scale=scale)
    x = low.sample().float()
    single = LowRankNormalDistribution(low.loc.float(), low.scale.float(), low.factor.float())
    exact = LowRankNormalDistribution(single.loc.double(), single.scale.double(), single.factor.double())
    torch.testing.assert_close(single.log_prob(x).double(), exact.log_prob(x.double()), rtol=1e-4, atol=1e-3)


def test_draws_have_its_moments() -> None:
    low = random(4, 2)
    draws = low.sample(Size((50_000,)))
    for i, covariance in enumerate(dense(low).covariance_matrix):
        assert_moments(draws[:, i], low.loc[i], covariance)


def test_the_gradient_of_draws_is_that_of_the_expectation() -> None:
    """E x' M x = mean' M mean + tr(M covariance)."""
    square, shape = torch.randn(3, 3).double(), (40_000, 1, 3)
    loc, scale, factor = (torch.randn(*size).double().abs() for size in ((3,), (3,), (3, 2)))
    exact = [each.clone().requires_grad_() for each in (loc, scale, factor)]
    covariance = exact[2] @ exact[2].T + torch.diag(exact[1].square())
    (exact[0] @ square @ exact[0] + (square * covariance).sum()).backward()
    many = [each.expand(shape[0], 1, *each.shape).clone().requires_grad_() for each in (loc, scale, factor)]
    x = LowRankNormalDistribution(*many).rsample()
    ((x @ square) * x).sum().backward()
    for mine, theirs in zip(many, exact, strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert_mean(mine.grad.squeeze(1), theirs.grad)


@pytest.mark.parametrize("family", [LowRankNormal(2), FullNormal()])
@pytest.mark.parametrize("prior", [Normal(0.3, 1.7), Laplace(0.0, 1.0)])
def test_its_divergence_from_independent_normals_is_that_of_samples(
    family: LowRankNormal | FullNormal, prior: Normal | Laplace
) -> None:
    q = family(torch.randn(1, 3, family.width(Size((4,)))).double())
    p = Independent(prior.expand((4,)), 1)
    if isinstance(prior, Laplace):
        with pytest.raises(NotImplementedError):
            kl_divergence(q, p)
        return
    draws = q.sample(Size((50_000,)))
    assert_mean(q.log_prob(draws) - p.log_prob(draws), kl_divergence(q, p))


def test_a_rank_below_1_and_a_map_are_refused() -> None:
    with pytest.raises(UsageError, match="rank 0"):
        LowRankNormal(0)
    with pytest.raises(UsageError, match=r"not an event of shape \(2, 3, 3\)"):
        LowRankNormal().width(Size((2, 3, 3)))
