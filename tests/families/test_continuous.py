from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Size, Tensor

from families.against import assert_is, assert_refuses, double, each, logit, raw
from vaekit.common.errors import UsageError
from vaekit.families import Beta, Gamma, Known, Laplace, Learned, LogNormal, Predicted, StudentT, exponential, positive
from vaekit.families.continuous import BetaDistribution, GammaDistribution, StudentTDistribution

REALS = torch.tensor([-7.0, -0.4, 0.0, 0.3, 2.0, 50.0], dtype=torch.float64)
POSITIVE = torch.tensor([1e-12, 0.01, 0.7, 1.0, 3.0, 40.0], dtype=torch.float64)
UNIT = torch.tensor([1e-9, 0.01, 0.3, 0.5, 0.9, 1 - 1e-9], dtype=torch.float64)


@pytest.mark.parametrize(("location", "scale"), [(0.3, 0.5), (-2.0, 7.0), (0.0, 1e-2)])
def test_laplace_is_its_formula(location: float, scale: float) -> None:
    found = Laplace()(torch.cat([double(location), raw(scale)], -1))
    assert_is(each(found, REALS), -(REALS - location).abs() / scale - np.log(2 * scale), rtol=1e-6)


@pytest.mark.parametrize(("location", "scale", "df"), [(0.3, 0.5, 2.5), (-2.0, 7.0, 5.0), (0.0, 1.0, 1e8)])
def test_student_t_is_its_formula(location: float, scale: float, df: float) -> None:
    found = StudentT(excess=Predicted())(torch.cat([double(location), raw(scale), raw(df - 2)], -1))
    exact = stats.t(df, location, scale)
    assert_is(each(found, REALS), exact.logpdf(REALS), rtol=1e-7)
    assert float(found.mean) == pytest.approx(location)
    assert float(found.variance) == pytest.approx(exact.var(), rel=1e-6)


@pytest.mark.parametrize("scale", [Predicted(), Learned(), Known()])
@pytest.mark.parametrize("excess", [Predicted(), Learned((2,)), Known()])
def test_student_t_takes_both_its_numbers_from_any_scale(scale: torch.nn.Module, excess: torch.nn.Module) -> None:
    """Location, then scale, then degrees of freedom: every number of 1 gives t with 3 degrees, whoever tells it."""
    family = StudentT(scale, excess).double()
    params = torch.zeros(1, 1, family.width(Size((2,)))).double()
    params[..., :2] = torch.tensor([1.0, -1.0])
    with torch.no_grad():
        found = family(params).log_prob(torch.tensor([[[0.5, 0.5]]]).double())
    assert_is(found.flatten(), stats.t(3, [1.0, -1.0], 1.0).logpdf(0.5).sum(keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(("location", "scale"), [(0.3, 0.5), (-2.0, 2.0)])
def test_log_normal_is_its_formula(location: float, scale: float) -> None:
    found = LogNormal()(torch.cat([double(location), raw(scale)], -1))
    exact = stats.lognorm(scale, scale=np.exp(location))
    assert_is(each(found, POSITIVE), exact.logpdf(POSITIVE))
    assert float(found.mean) == pytest.approx(exact.mean())


@pytest.mark.parametrize(("mean", "shape"), [(1.0, 1.0), (3.0, 0.2), (0.1, 7.0), (50.0, 400.0)])
def test_gamma_is_its_formula(mean: float, shape: float) -> None:
    found = Gamma()(torch.cat([raw(mean), raw(shape)], -1))
    exact = stats.gamma(shape, scale=mean / shape)
    assert_is(each(found, POSITIVE), exact.logpdf(POSITIVE), rtol=1e-8)
    assert float(found.mean) == pytest.approx(mean)
    assert float(found.variance) == pytest.approx(exact.var())


@pytest.mark.parametrize(("mean", "concentration"), [(0.5, 2.0), (0.1, 0.5), (0.7, 30.0), (0.999, 1000.0)])
def test_beta_is_its_formula(mean: float, concentration: float) -> None:
    found = Beta()(torch.cat([logit(mean), raw(concentration)], -1))
    mean = float(found.mean)
    exact = stats.beta(mean * concentration, (1 - mean) * concentration)
    assert_is(each(found, UNIT), exact.logpdf(UNIT), rtol=1e-7, atol=1e-7)
    assert float(found.variance) == pytest.approx(exact.var(), rel=1e-6)


def test_a_log_link_gives_the_gamma_a_mean_of_its_exponential() -> None:
    assert float(Gamma(Known(), exponential)(double(2.0)).mean) == pytest.approx(np.exp(2.0), rel=1e-6)


def digits(found: Tensor, expected: np.ndarray) -> float:
    return float(np.abs(found.double().numpy() - expected).max())


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3, 1e6, 1e7])
def test_float32_keeps_the_digits_that_differences_of_log_gammas_lose(size: float) -> None:
    """Against float64 of scipy, at float32's own numbers; torch's are off by whole nats at the last of these."""
    at = torch.tensor([0.30, 0.499, 0.5, 0.5005, 0.62])
    near = 0.5 + (at - 0.5) / max(size, 1.0) ** 0.5
    total, half = torch.tensor(size), torch.tensor(0.5)
    x = near.double().numpy()
    beta, gamma = BetaDistribution(half, half, total), GammaDistribution(half, total)
    t = StudentTDistribution(half, torch.tensor(1.0), 2 + total)
    assert digits(beta.log_prob(near), stats.beta(size / 2, size / 2).logpdf(x)) < 2e-4
    assert digits(gamma.log_prob(near), stats.gamma(size, scale=0.5 / size).logpdf(x)) < 2e-4
    assert digits(t.log_prob(near), stats.t(2 + size, 0.5).logpdf(x)) < 2e-6


@pytest.mark.parametrize("make", [BetaDistribution, GammaDistribution, StudentTDistribution])
def test_gradients_agree_with_finite_differences(make: type) -> None:
    """On both sides of the series in Stirling's error, and where a value is at its mean."""
    x = double(0.3, 0.5, 0.7, 0.5)
    first = double(0.5, 0.5, 0.2, 0.7).requires_grad_()
    second = (1 - first.detach()).requires_grad_()
    third = double(0.7, 9.0, 50.0, 21.0).requires_grad_()
    params = (first, third) if make is GammaDistribution else (first, second, third)
    assert torch.autograd.gradcheck(lambda *params: make(*params).log_prob(x), params)
    assert torch.autograd.gradcheck(lambda x: make(*params).log_prob(x), x.clone().requires_grad_())


@pytest.mark.parametrize("a", [1e-12, 1e-4, 0.02])
def test_beta_draws_go_to_the_ends_where_the_concentration_is_small(a: float) -> None:
    n = 20_000
    drawn = BetaDistribution(torch.tensor(0.25), torch.tensor(0.75), torch.full((n,), 4 * a)).sample()
    assert 0 < drawn.min() <= drawn.max() < 1
    error = 5 * (0.25 * 0.75 / n) ** 0.5
    assert abs(float(drawn.mean()) - 0.25) < error
    assert abs(float((drawn > 0.5).float().mean()) - stats.beta(a, 3 * a).sf(0.5)) < error


def test_values_outside_the_support_have_no_density_and_no_gradient() -> None:
    params = torch.zeros(1, 1, 4, requires_grad=True)
    for family, outside in ((Gamma(), -1.0), (Gamma(), 0.0), (Beta(), 0.0), (Beta(), 1.0), (Beta(), torch.nan)):
        log_prob = family(params).log_prob(torch.tensor([outside, 0.5]))
        assert log_prob.tolist() == [[-torch.inf]]
        (gradient,) = torch.autograd.grad(log_prob.sum(), params)
        assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("likelihood", "value"),
    [("gamma", 0.0), ("gamma", -0.5), ("log_normal", 0.0), ("beta", 0.0), ("beta", 1.0), ("logit_normal", 1.5)],
)
def test_rows_that_hold_what_cannot_be_explained_are_refused(likelihood: str, value: float) -> None:
    assert_refuses(likelihood, value, fine=0.5)


def test_a_predicted_scale_of_a_map_is_the_second_block_of_channels() -> None:
    params = torch.randn(2, 3, 4, 5, 5).double()
    x = torch.randn(1, 3, 2, 5, 5).double()
    location, scale = params[:, :, :2], positive(params[:, :, 2:])
    expected = stats.laplace(location.numpy(), scale.numpy()).logpdf(x.numpy()).sum((-1, -2, -3))
    assert_is(Laplace()(params).log_prob(x), expected)


def test_a_scale_that_cannot_be_is_refused_at_construction() -> None:
    with pytest.raises(UsageError, match="must be positive"):
        Gamma(Known(0.0))
