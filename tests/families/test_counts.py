from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Size

from families.against import assert_is, assert_refuses, double, each, logit, raw
from vaekit.common.errors import UsageError
from vaekit.families import (
    BetaBinomial,
    Known,
    Learned,
    NegativeBinomial,
    Poisson,
    Predicted,
    ZeroInflatedNegativeBinomial,
    exponential,
)
from vaekit.families.counts import (
    BetaBinomialDistribution,
    NegativeBinomialDistribution,
    PoissonDistribution,
    ZeroInflatedDistribution,
)

COUNTS = torch.tensor([0.0, 1.0, 2.0, 7.0, 60.0, 1000.0], dtype=torch.float64)
EVERY = torch.arange(100_000, dtype=torch.float64)


def zero_inflated(mean: float, r: float, gate: float, counts: torch.Tensor) -> np.ndarray:
    masses = (1 - gate) * stats.nbinom(r, r / (r + mean)).pmf(counts)
    return masses + gate * (counts.numpy() == 0)


@pytest.mark.parametrize("rate", [1e-5, 0.3, 5.0, 900.0])
def test_poisson_is_its_formula(rate: float) -> None:
    assert_is(each(Poisson()(raw(rate)), COUNTS), stats.poisson(rate).logpmf(COUNTS), rtol=1e-8)
    assert_is(each(Poisson(exponential)(double(math.log(rate))), COUNTS), stats.poisson(rate + 1e-6).logpmf(COUNTS))


@pytest.mark.parametrize(("mean", "r"), [(1e-5, 1.0), (0.3, 0.01), (5.0, 2.0), (5.0, 1e4), (900.0, 30.0), (3.0, 1e-4)])
def test_negative_binomial_is_its_formula(mean: float, r: float) -> None:
    found = NegativeBinomial()(torch.cat([raw(mean), raw(r)], -1))
    exact = stats.nbinom(r, r / (r + mean))
    assert_is(each(found, COUNTS), exact.logpmf(COUNTS), rtol=1e-6, atol=1e-8)
    assert float(found.mean) == pytest.approx(mean)
    assert float(found.variance) == pytest.approx(exact.var())


@pytest.mark.parametrize(("mean", "r", "gate"), [(5.0, 2.0, 0.3), (0.1, 0.5, 0.9), (300.0, 5.0, 0.01)])
def test_zero_inflated_negative_binomial_is_its_formula(mean: float, r: float, gate: float) -> None:
    found = ZeroInflatedNegativeBinomial()(torch.cat([raw(mean), raw(r), logit(gate)], -1))
    assert_is(each(found, COUNTS).exp(), zero_inflated(mean, r, gate, COUNTS), rtol=1e-7, atol=1e-15)
    masses = zero_inflated(mean, r, gate, EVERY)
    exact_mean = (masses * EVERY.numpy()).sum()
    assert float(found.mean) == pytest.approx(exact_mean)
    assert float(found.variance) == pytest.approx((masses * (EVERY.numpy() - exact_mean) ** 2).sum())


@pytest.mark.parametrize(("total", "mean", "c"), [(10, 0.3, 2.0), (1000, 0.5, 0.1), (1, 0.9, 7.0), (50, 0.01, 1e4)])
def test_beta_binomial_is_its_formula(total: int, mean: float, c: float) -> None:
    found = BetaBinomial(total)(torch.cat([logit(mean), raw(c)], -1))
    share = float(found.mean) / total
    assert share == pytest.approx(mean, abs=2e-6)
    exact = stats.betabinom(total, share * c, (1 - share) * c)
    counts = torch.arange(total + 1, dtype=torch.float64)
    assert_is(each(found, counts), exact.logpmf(counts), rtol=1e-6, atol=1e-7)
    assert float(found.variance) == pytest.approx(exact.var(), rel=1e-6)


def test_each_dimension_may_have_its_own_total() -> None:
    family = BetaBinomial(torch.tensor([1, 5]), Known(3.0)).double()
    params = torch.zeros(1, 1, 2, dtype=torch.float64)
    assert_is(family(params).mean.flatten(), np.array([0.5, 2.5]))
    assert family.support.check(torch.tensor([[1.0, 5.0], [2.0, 5.0]])).tolist() == [[True, True], [False, True]]


@pytest.mark.parametrize(
    "distribution",
    [
        PoissonDistribution(torch.tensor(700.0)),
        NegativeBinomialDistribution(torch.tensor(40.0), torch.tensor(0.7)),
        NegativeBinomialDistribution(torch.tensor(40.0), torch.tensor(1e9)),
        ZeroInflatedDistribution(torch.tensor(40.0), torch.tensor(0.7), torch.tensor(-1.0)),
        BetaBinomialDistribution(torch.tensor(0.2), torch.tensor(0.8), torch.tensor(1.5), torch.tensor(5000.0)),
    ],
    ids=lambda distribution: type(distribution).__name__,
)
def test_masses_sum_to_one_in_float32(distribution: torch.distributions.Distribution) -> None:
    masses = distribution.log_prob(torch.arange(20_000.0)).double().exp()
    assert float(masses.sum()) == pytest.approx(1.0, abs=1e-6)


def test_as_the_dispersion_vanishes_the_negative_binomial_becomes_the_poisson() -> None:
    """Its log-mass differs by ((k - m)^2 - k) / 2 r to first order, in float32 as in float64."""
    mean, k = torch.tensor([0.5, 7.0, 90.0]), torch.tensor([[0.0], [1.0], [12.0], [100.0]])
    poisson = PoissonDistribution(mean.double()).log_prob(k.double())
    for r in (1e6, 1e8, 1e20):
        found = NegativeBinomialDistribution(mean, torch.tensor(r)).log_prob(k)
        expected = poisson + ((k - mean) ** 2 - k).double() / (2 * r)
        torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("r", [1e-3, 1.0, 1e6])
def test_as_the_gate_closes_the_zero_inflated_becomes_the_negative_binomial(r: float) -> None:
    mean, dispersion, k = torch.tensor(3.0), torch.tensor(r), torch.tensor([0.0, 1.0, 30.0])
    counts = NegativeBinomialDistribution(mean, dispersion).log_prob(k)
    for gate in (-30.0, -1e4):
        found = ZeroInflatedDistribution(mean, dispersion, torch.tensor(gate)).log_prob(k)
        torch.testing.assert_close(found, counts, rtol=1e-6, atol=1e-6)


def test_as_the_concentration_grows_the_beta_binomial_becomes_the_binomial() -> None:
    k = torch.arange(21.0)
    for c in (1e7, 1e20):
        share = torch.tensor(0.3), torch.tensor(0.7), torch.tensor(c), torch.tensor(20.0)
        found = BetaBinomialDistribution(*share).log_prob(k)
        assert_is(found, stats.binom(20, 0.3).logpmf(k), rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("mean", [1e2, 1e4, 1e6])
def test_float32_keeps_the_digits_of_large_counts(mean: float) -> None:
    k = torch.tensor([mean, mean + round(mean**0.5), mean - round(2 * mean**0.5)])
    at, size = torch.tensor(mean), k.double().numpy()
    tolerance = {"rtol": 1e-5, "atol": 2e-4}
    assert_is(PoissonDistribution(at).log_prob(k), stats.poisson(mean).logpmf(size), **tolerance)
    for r in (0.5, 100.0, 1e6):
        found = NegativeBinomialDistribution(at, torch.tensor(r)).log_prob(k)
        assert_is(found, stats.nbinom(r, r / (r + mean)).logpmf(size), **tolerance)


@pytest.mark.parametrize("make", [PoissonDistribution, NegativeBinomialDistribution, ZeroInflatedDistribution])
def test_gradients_agree_with_finite_differences(make: type) -> None:
    """At zero, at the mean, and on both sides of the series in Stirling's error."""
    k = double(0.0, 3.0, 12.0, 40.0, 0.0)
    mean = double(2.0, 3.0, 3.5, 1e3, 80.0).requires_grad_()
    r = double(0.3, 7.0, 9.0, 60.0, 1e-2).requires_grad_()
    gate = double(-2.0, 0.0, 1.0, 3.0, 0.5).requires_grad_()
    taken = {PoissonDistribution: (mean,), NegativeBinomialDistribution: (mean, r)}.get(make, (mean, r, gate))
    assert torch.autograd.gradcheck(lambda *params: make(*params).log_prob(k), taken)


def test_the_gradient_of_the_beta_binomial_agrees_with_finite_differences() -> None:
    k, total = double(0.0, 3.0, 12.0), double(5.0, 3.0, 20.0)
    score = double(-2.0, 0.0, 1.0).requires_grad_()
    c = double(0.3, 15.0, 25.0).requires_grad_()

    def log_prob(score: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return BetaBinomialDistribution(torch.sigmoid(score), torch.sigmoid(-score), c, total).log_prob(k)

    assert torch.autograd.gradcheck(log_prob, (score, c))


@pytest.mark.parametrize("value", [1e-6, 1.0, 1e6])
def test_extreme_means_and_dispersions_leave_values_and_gradients_finite(value: float) -> None:
    k = torch.tensor([0.0, 1.0, 1e5])
    for r in (1e-6, 1.0, 1e6):
        for gate in (-1e3, 0.0, 1e3):
            params = [torch.tensor(each, requires_grad=True) for each in (value, r, gate)]
            log_prob = ZeroInflatedDistribution(*params).log_prob(k)
            assert log_prob.isfinite().all()
            assert all(gradient.isfinite() for gradient in torch.autograd.grad(log_prob.sum(), params))


@pytest.mark.parametrize("r", [0.2, 5.0])
def test_counts_are_drawn_with_their_variance(r: float) -> None:
    n = 40_000
    drawn = NegativeBinomialDistribution(torch.full((n,), 4.0), torch.tensor(r)).sample().double()
    exact = stats.nbinom(r, r / (r + 4.0))
    spread = float(((drawn - exact.mean()) ** 2).std()) / n**0.5
    assert float(((drawn - exact.mean()) ** 2).mean()) == pytest.approx(exact.var(), abs=5 * spread)


def test_one_dispersion_for_each_gene_is_learned_beside_the_net() -> None:
    family = NegativeBinomial(Learned(Size((3,)), initial=2.0))
    assert family.width(Size((3,))) == 3
    assert [tuple(parameter.shape) for parameter in family.parameters()] == [(3,)]
    assert ZeroInflatedNegativeBinomial(Learned(Size((3,)))).width(Size((3,))) == 6
    assert ZeroInflatedNegativeBinomial(Predicted()).width(Size((3,))) == 9


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial", "zero_inflated_negative_binomial"])
@pytest.mark.parametrize("value", [0.5, -1.0])
def test_what_is_no_count_is_refused(likelihood: str, value: float) -> None:
    assert_refuses(likelihood, value)


@pytest.mark.parametrize("value", [0.5, 11.0])
def test_counts_above_the_total_are_refused(value: float) -> None:
    assert_refuses("beta_binomial_10", value)


@pytest.mark.parametrize("family", [Poisson(), NegativeBinomial(Known()), BetaBinomial(3, Known())])
@pytest.mark.parametrize("value", [0.5, -1.0, torch.nan])
def test_what_is_no_count_has_no_mass(family: Poisson | NegativeBinomial | BetaBinomial, value: float) -> None:
    assert family(torch.zeros(1, 1, 1)).log_prob(torch.tensor([value])).tolist() == [[-torch.inf]]


@pytest.mark.parametrize("total", [0, -3, torch.tensor([2.0, 1.5])])
def test_a_total_that_is_no_whole_number_is_refused(total: int) -> None:
    with pytest.raises(UsageError, match="whole numbers of at least 1"):
        BetaBinomial(total)


def test_counts_say_that_they_are_counts() -> None:
    assert str(Poisson().density(torch.zeros(1))) == "probability mass of counts, in nats per example"
