from __future__ import annotations

import mpmath
import pytest
import torch
from torch import Tensor

from vaekit.families import exponential
from vaekit.families.special import (
    factorial_excess,
    log_logistic_mass,
    log_ratio,
    shares,
    stirling_error,
    times_log_ratio,
)

PRECISION = {torch.float32: 3e-6, torch.float64: 1e-13}


def exact_stirling_error(a: float) -> float:
    with mpmath.workdps(50):
        a = mpmath.mpf(a)
        return float(mpmath.loggamma(a) - (a - 0.5) * mpmath.log(a) + a - mpmath.log(2 * mpmath.pi) / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_error_of_stirling_is_its_formula_in_fifty_digits(dtype: torch.dtype) -> None:
    a = torch.cat([torch.logspace(-10, 12, 89), torch.tensor([9.999999, 10.0, 10.00001])]).to(dtype)
    expected = torch.tensor([exact_stirling_error(float(each)) for each in a], dtype=torch.float64)
    torch.testing.assert_close(stirling_error(a).double(), expected, rtol=PRECISION[dtype], atol=PRECISION[dtype])


def test_the_slope_of_stirlings_error_agrees_with_digamma() -> None:
    a = torch.logspace(-6, 6, 49, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(stirling_error(a).sum(), a)
    expected = torch.digamma(a) - a.log() - (a - 0.5) / a + 1
    torch.testing.assert_close(slope, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("function", [stirling_error, exponential])
@pytest.mark.parametrize("value", [0.0, 1e30, 1e-30])
def test_huge_and_tiny_arguments_have_finite_values_and_slopes(function: type, value: float) -> None:
    a = torch.tensor(value if value or function is exponential else 1e-12, requires_grad=True)
    (slope,) = torch.autograd.grad(function(a), a)
    assert function(a).isfinite()
    assert slope.isfinite()


def test_log_ratio_keeps_its_digits_near_one_and_far_from_it() -> None:
    a = torch.tensor([1e6 + 1, 1e6 - 1, 3.0, 1e-38, 1e30, 5.0])
    b = torch.tensor([1e6, 1e6, 4.0, 1e6, 1e-6, 5.0])
    expected = torch.tensor([float(mpmath.log(mpmath.mpf(float(x)) / float(y))) for x, y in zip(a, b, strict=True)])
    torch.testing.assert_close(log_ratio(a, b, a - b), expected, rtol=3e-7, atol=0)


def test_log_ratio_sees_a_difference_that_its_arguments_do_not_hold() -> None:
    a, b = torch.tensor(1e12) + 5, torch.tensor(1e12) + 3
    assert a == b
    assert float(log_ratio(a, b, torch.tensor(2.0))) == pytest.approx(2e-12, rel=1e-6)


@pytest.mark.parametrize(
    ("a", "b"), [(3.0, 3.0), (3.0, 5.0), (3.0, 6.0), (1e-3, 5e3), (7e4, 1.0), (1e-38, 3.0), (3.0, 1e-6)]
)
def test_log_ratio_has_the_slopes_of_a_logarithm(a: float, b: float) -> None:
    """At a = b / 2 too, where its two branches meet."""
    x, y = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    slopes = torch.autograd.grad(log_ratio(x, y, x - y), (x, y))
    torch.testing.assert_close(torch.stack(slopes), torch.tensor([1 / a, -1 / b]), rtol=1e-5, atol=0)


def test_nothing_times_any_ratio_is_nothing() -> None:
    k, a = torch.tensor([0.0, 4.0]), torch.tensor([1e-30, 2.0])
    torch.testing.assert_close(times_log_ratio(k, a, k - a), torch.tensor([0.0, 2.772588722]))


def test_factorials() -> None:
    k = torch.tensor([0.0, 1.0, 2.0, 5.0, 20.0, 170.0, 1e5], dtype=torch.float64)
    expected = torch.lgamma(k + 1) - (torch.xlogy(k, k) - k)
    torch.testing.assert_close(factorial_excess(k), expected, rtol=1e-9, atol=1e-9)


def test_the_mass_of_a_logistic_between_two_points() -> None:
    upper, lower = _double(-30.0, 0.1, 3.0, 40.0), _double(-31.0, 0.0, -2.0, 39.999)
    with mpmath.workdps(50):
        masses = [_sigmoid(u) - _sigmoid(v) for u, v in zip(upper.tolist(), lower.tolist(), strict=True)]
    expected = _double(*(float(mpmath.log(mass)) for mass in masses))
    torch.testing.assert_close(log_logistic_mass(upper, lower, upper - lower), expected, rtol=1e-10, atol=0)


def _sigmoid(x: float) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-mpmath.mpf(x)))


def _double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_shares_sum_to_one_and_never_reach_an_end() -> None:
    mean, rest = shares(torch.tensor([-1e4, -3.0, 0.0, 40.0, 1e4]))
    torch.testing.assert_close(mean + rest, torch.ones(5))
    assert (mean > 0).all()
    assert (rest > 0).all()
    assert float(shares(torch.logit(torch.tensor(0.3)))[0]) == pytest.approx(0.3, abs=1e-5)


def test_the_log_link_is_an_exponential_with_a_continuous_slope() -> None:
    raw = _double(-3.0, 0.0, 14.999999, 15.000001).requires_grad_()
    rate = exponential(raw)
    torch.testing.assert_close(rate, raw.detach().exp() + 1e-6, rtol=1e-6, atol=0)
    (slope,) = torch.autograd.grad(rate.sum(), raw)
    torch.testing.assert_close(slope, raw.detach().exp(), rtol=2e-6, atol=0)
