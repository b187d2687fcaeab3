from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from vaekit.families import Bernoulli, ContinuousBernoulli
from vaekit.families.bernoulli import BernoulliDistribution, ContinuousBernoulliDistribution

LOGITS = [0.0, 1e-8, -1e-8, 1e-3, -1e-3, 0.0499, -0.0499, 0.0501, -0.0501, 0.7, 5.0, -5.0, -40.0, 40.0]
VALUES = [0.0, 0.1, 0.37, 0.5, 0.9, 1.0]
CHANCE = 1e-6


def exact_log_prob(logit: float, x: float) -> float:
    """log of l e^(l x) / (e^l - 1), in fifty digits; 0 at l = 0."""
    with localcontext() as context:
        context.prec = 50
        a, at = Decimal(logit), Decimal(x)
        return float((a * (a * at).exp() / (a.exp() - 1)).ln()) if a else 0.0


def exact_mean(logit: float) -> float:
    """e^l / (e^l - 1) - 1 / l, in fifty digits; 1/2 at l = 0."""
    with localcontext() as context:
        context.prec = 50
        a = Decimal(logit)
        return float(a.exp() / (a.exp() - 1) - 1 / a) if a else 0.5


def double(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def distribution_function(x: Tensor, logit: Tensor) -> Tensor:
    return torch.expm1(logit * x) / torch.expm1(logit)


@pytest.mark.parametrize("logit", LOGITS)
def test_continuous_bernoulli_is_its_formula_to_ten_digits(logit: float) -> None:
    log_prob = ContinuousBernoulliDistribution(double([logit])).log_prob(double(VALUES))
    exact = double([exact_log_prob(logit, x) for x in VALUES])
    torch.testing.assert_close(log_prob.exp(), exact.exp(), rtol=1e-10, atol=0)
    torch.testing.assert_close(log_prob, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("logit", LOGITS)
def test_the_mean_of_a_continuous_bernoulli_is_its_formula(logit: float) -> None:
    mean = ContinuousBernoulliDistribution(double([logit])).mean
    torch.testing.assert_close(mean, double([exact_mean(logit)]), rtol=1e-10, atol=0)


@pytest.mark.parametrize("logit", [-3000.0, -100.0, -1.0, 0.01, 1.0, 100.0, 3000.0])
def test_the_slope_of_a_continuous_bernoullis_mean_is_its_variance(logit: float) -> None:
    """It is 1 / l^2 far out, where e^|l| is no number any more."""
    at = torch.tensor(logit, requires_grad=True)
    (slope,) = torch.autograd.grad(ContinuousBernoulliDistribution(at).mean, at)
    exact = 1 / logit**2 - 1 / (4 * math.sinh(logit / 2) ** 2) if abs(logit) < 200 else 1 / logit**2
    assert float(slope) == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("logit", LOGITS)
def test_the_gradient_of_a_continuous_bernoulli_is_x_less_its_mean(logit: float) -> None:
    """An exponential family: d log p(x) / dl = x - E x, on either side of the series' border too."""
    logits = double([logit]).requires_grad_()
    ContinuousBernoulliDistribution(logits).log_prob(double([0.25])).sum().backward()
    assert logits.grad is not None
    assert float(logits.grad) == pytest.approx(0.25 - exact_mean(logit), abs=1e-8)


@pytest.mark.parametrize("logit", [0.0, 1e-8, 9e-4, -1.1e-3, 0.5, 5.0, -40.0, 300.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_continuous_bernoulli_draws_fit_its_distribution_function(logit: float, dtype: torch.dtype) -> None:
    drawn = ContinuousBernoulliDistribution(torch.tensor(logit, dtype=dtype)).sample((20_000,)).double().numpy()
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert stats.kstest(drawn, lambda x: _exact_function(x, logit)).pvalue > CHANCE


def _exact_function(x: np.ndarray, logit: float) -> np.ndarray:
    """(e^(l x) - 1) / (e^l - 1), from whichever end does not overflow."""
    if logit > 0:
        return 1 - _exact_function(1 - x, -logit)
    return np.expm1(logit * x) / np.expm1(logit) if logit else x


@pytest.mark.parametrize("logit", [-7.0, -0.5, 5e-4, 0.02, 0.5, 7.0])
def test_a_continuous_bernoulli_draw_moves_with_its_logit_as_its_quantile_does(logit: float) -> None:
    """At a fixed u = F(x; l): dx / dl = -(dF / dl) / p(x)."""
    logits = torch.full((200,), logit, dtype=torch.float64, requires_grad=True)
    distribution = ContinuousBernoulliDistribution(logits)
    x = distribution.rsample()
    (moved,) = torch.autograd.grad(x.sum(), logits)
    fixed = x.detach()
    (slope,) = torch.autograd.grad(distribution_function(fixed, logits).sum(), logits)
    torch.testing.assert_close(moved, -slope / distribution.log_prob(fixed).exp().detach(), rtol=1e-4, atol=1e-4)


def test_bernoulli_of_greys_is_a_cross_entropy_and_says_so() -> None:
    params = double([-2.0, 0.3, 4.0]).reshape(1, 1, 3)
    x = double([0.2, 0.5, 1.0]).reshape(1, 1, 3)
    p = torch.sigmoid(params)
    expected = (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)
    torch.testing.assert_close(Bernoulli()(params).log_prob(x), expected, rtol=1e-12, atol=0)
    assert not Bernoulli().density(x).is_likelihood
    assert "not a likelihood" in str(Bernoulli().density(x))


def test_a_continuous_bernoulli_is_a_likelihood_of_greys() -> None:
    assert ContinuousBernoulli().density(torch.tensor([0.2])).is_likelihood


@pytest.mark.parametrize("family", [Bernoulli(), ContinuousBernoulli()], ids=["bernoulli", "continuous"])
def test_what_lies_outside_0_to_1_is_outside_the_support(family: Bernoulli | ContinuousBernoulli) -> None:
    values = torch.tensor([0.0, 0.5, 1.0, -1e-6, 2.0, torch.nan, torch.inf])
    assert family.support.check(values).tolist() == [True, True, True, False, False, False, False]


def test_log_prob_is_the_cross_entropy_of_torch_with_its_slope_at_any_logit() -> None:
    logits = torch.linspace(-60, 60, 2001, dtype=torch.float64)
    x = torch.rand(3, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).round(decimals=1)
    expected = -torch.nn.functional.binary_cross_entropy_with_logits(
        logits.expand(3, -1), x.expand(3, 2001), reduction="none"
    )
    at_hand = logits.float().requires_grad_()
    found = BernoulliDistribution(logits=at_hand, validate_args=False).log_prob(x.float())
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-6)
    (slope,) = torch.autograd.grad(found.sum(), at_hand)
    torch.testing.assert_close(slope.double(), (x - torch.sigmoid(logits)).sum(0), atol=1e-6, rtol=1e-5)
