from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Size, Tensor
from torch.distributions import Independent, StudentT

import vaekit
from families.against import assert_is, double, each, raw
from vaekit.common.errors import DataError, UsageError
from vaekit.core import VAE, Latent, Parametric, bits_per_dimension
from vaekit.families import (
    Bernoulli,
    Beta,
    ContinuousBernoulli,
    Dequantised,
    FullNormal,
    Known,
    Laplace,
    Learned,
    Levels256,
    Log,
    Logit,
    LogNormal,
    Normal,
    Poisson,
    Standardise,
    Transformed,
)
from vaekit.objectives import Elbo
from vaekit.priors import standard_normal

MEAN, STD = torch.tensor([170.0, -3.0]), torch.tensor([10.0, 0.01])


def normal(location: float, scale: float) -> Tensor:
    """Parameters of a normal of one coordinate."""
    return torch.cat([double(location), raw(scale)], -1)


def test_standardised_data_have_the_density_of_the_data_as_they_came() -> None:
    params, x = torch.randn(1, 3, 4).double(), (MEAN + STD * torch.randn(1, 3, 2)).double()
    family = Transformed(Normal(), Standardise(MEAN, STD)).double()
    inner = Normal()(params)
    exact = stats.norm((MEAN + STD * inner.mean).numpy(), (STD * inner.stddev).numpy())
    assert_is(family(params).log_prob(x), exact.logpdf(x.numpy()).sum(-1), rtol=1e-6)
    assert_is(family(params).mean, exact.mean(), rtol=1e-6)


def test_a_full_covariance_may_be_standardised_too() -> None:
    params, x = torch.randn(2, 3, 5).double(), (MEAN + STD * torch.randn(1, 3, 2)).double()
    family = Transformed(FullNormal(), Standardise(MEAN, STD)).double()
    inner = FullNormal()(params)
    expected = inner.log_prob((x - MEAN) / STD) - STD.double().log().sum()
    torch.testing.assert_close(family(params).log_prob(x), expected)
    torch.testing.assert_close(family(params).expand(Size((2, 3))).mean, MEAN + STD * inner.mean)
    assert family.support.check(x[0]).tolist() == [[True, True]] * 3


def test_the_log_of_a_normal_is_the_log_normal() -> None:
    params, x = torch.randn(2, 5, 6).double(), torch.rand(1, 5, 3).double() * 9
    family = Transformed(Normal(), Log())
    torch.testing.assert_close(family(params).log_prob(x), LogNormal()(params).log_prob(x))
    narrow = torch.cat([params[:, :, :3], params[:, :, 3:] - 2], 2)
    torch.testing.assert_close(family(narrow).mean, LogNormal()(narrow).mean, rtol=1e-7, atol=0)


@pytest.mark.parametrize("squeeze", [0.0, 0.05])
@pytest.mark.parametrize(("location", "scale"), [(0.0, 1.0), (-2.0, 0.3), (4.0, 2.0)])
def test_a_logit_normal_integrates_to_one_and_has_its_mean(squeeze: float, location: float, scale: float) -> None:
    found = Transformed(Normal(), Logit(squeeze))(normal(location, scale))
    beyond = squeeze / (1 - 2 * squeeze)

    def density(x: float) -> float:
        return float(found.log_prob(torch.tensor([x], dtype=torch.float64)).exp())

    ends = {"a": -beyond + 1e-12, "b": 1 + beyond - 1e-12, "limit": 200, "points": [0.02, 0.98]}
    assert integrate.quad(density, **ends)[0] == pytest.approx(1.0, abs=1e-6)
    assert integrate.quad(lambda x: x * density(x), **ends)[0] == pytest.approx(float(found.mean), abs=1e-6)


def test_transformations_nest_and_their_jacobians_add() -> None:
    """The logarithm of incomes, standardised: x = exp(9 + 2 y)."""
    params, x = torch.randn(1, 4, 2).double(), torch.tensor([[[3.0], [5e3], [1e4], [9e6]]]).double()
    nested = Transformed(Transformed(Normal(), Standardise(9.0, 2.0)), Log()).double()
    inner = Normal()(params)
    expected = stats.lognorm((2 * inner.stddev).numpy(), scale=np.exp((9 + 2 * inner.mean).numpy()))
    assert_is(nested(params).log_prob(x), expected.logpdf(x.numpy()).sum(-1))


def test_a_mean_by_quantiles_is_right_in_float32_and_where_the_quantiles_have_a_kink() -> None:
    params = torch.tensor([[[0.3, -1.0]]])
    found = Transformed(Laplace(), Log())(params)
    scale = float(Laplace()(params).base_dist.scale)  # type: ignore[attr-defined]
    assert scale < 1
    assert float(found.mean) == pytest.approx(math.exp(0.3) / (1 - scale**2), rel=1e-5)


def test_a_mean_without_a_quantile_function_says_so() -> None:
    class Tails(Normal):
        def forward(self, params: Tensor) -> Independent:
            return Independent(StudentT(5.0, *self.scale(params)), 1)

    with pytest.raises(NotImplementedError):
        _ = Transformed(Tails(), Log())(torch.zeros(1, 1, 2)).mean


def test_scales_are_learned_through_the_bijection() -> None:
    family = Transformed(Normal(Learned()), Standardise(MEAN, STD))
    family(torch.zeros(1, 1, 2)).log_prob(MEAN + STD).sum().backward()
    assert [name for name, _ in family.named_parameters()] == ["family.scale.raw"]
    assert all(parameter.grad is not None for parameter in family.parameters())
    assert {name for name, _ in family.named_buffers()} == {"bijection.mean", "bijection.std"}


def test_standardising_by_the_data_leaves_constant_columns_their_scale() -> None:
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    bijection = Standardise.of_data(x)
    assert bijection.mean.tolist() == [2.0, 5.0]
    assert bijection.std.tolist() == [1.0, 1.0]


def test_the_units_of_the_data_do_not_change_what_is_learned() -> None:
    """Metres or millimetres: the same model, and densities that differ by log 1000 for each dimension."""
    rows = torch.randn(64, 3)
    found = [_evidence(rows * unit) for unit in (1.0, 1000.0)]
    assert found[0] - found[1] == pytest.approx(3 * math.log(1000), abs=1e-2)


def _evidence(rows: Tensor) -> float:
    with vaekit.common.seeds.seeded(0):
        family = Transformed(Normal(Learned()), Standardise.of_data(rows))
        decoder = Parametric(torch.nn.Linear(2, 3), family, given="z")
        standard = torch.nn.Sequential(_Scaled(rows), torch.nn.Linear(3, 4))
        model = VAE(decoder, z=Latent(standard_normal(2), Parametric(standard, Normal(), given="x")))
    return vaekit.fit(model, Elbo(), rows, max_epochs=3, validation=0, verbose=False).evaluate(rows, 10).terms.elbo


class _Scaled(torch.nn.Module):
    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.mean, self.std = rows.mean(0), rows.std(0)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


@pytest.mark.parametrize("family", [Bernoulli(), Poisson(), Levels256()])
def test_masses_know_no_change_of_variables(family: Bernoulli) -> None:
    with pytest.raises(UsageError, match=f"not the probability mass of {type(family).__name__}"):
        Transformed(family, Log())
    with pytest.raises(UsageError, match="dequantisation needs a probability density"):
        Dequantised(family)


def test_what_a_bijection_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="standard deviation of 0"):
        Standardise(0.0, torch.tensor([1.0, 0.0]))
    for squeeze in (-0.1, 0.5):
        with pytest.raises(UsageError, match=f"{squeeze}"):
            Logit(squeeze)


def test_the_support_is_what_the_bijection_reaches_from_the_support_of_the_family() -> None:
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 3.0, 7.0])
    assert Transformed(Normal(), Log()).support.check(x).tolist() == [False, False, True, True, True, True]
    assert Transformed(Normal(), Logit()).support.check(x).tolist() == [False, False, True, False, False, False]
    assert Transformed(Normal(), Logit(0.1)).support.check(x).tolist() == [False, True, True, True, False, False]
    stretched = Transformed(ContinuousBernoulli(), Standardise(1.0, 2.0))
    assert stretched.support.check(x).tolist() == [False, False, False, True, True, False]
    assert str(Transformed(Normal(), Log()).density(x)) == "probability density of positive values, in nats per example"


def test_a_row_that_cannot_be_transformed_is_refused_by_its_number() -> None:
    decoder = Parametric(torch.nn.Linear(2, 3), Transformed(Normal(Known()), Log()), given="z")
    model = VAE(decoder, z=Latent(standard_normal(2), Parametric(torch.nn.Linear(3, 4), Normal(), given="x")))
    rows = torch.ones(9, 3)
    rows[4, 2] = -2.0
    with pytest.raises(DataError, match=r"row 4 of x holds -2, .*Log"):
        vaekit.fit(model, Elbo(), rows, max_epochs=1, verbose=False)


def level_masses(distribution: torch.distributions.Distribution) -> np.ndarray:
    """The mass of each of 256 levels under a scalar density, by its distribution function."""
    edges = torch.arange(257, dtype=torch.float64) / 256
    return np.diff(distribution.cdf(edges.clamp(1e-300, 1 - 1e-16)).numpy())


GREYS = torch.arange(256, dtype=torch.float64) / 255


@pytest.mark.parametrize("location", [-2.0, 0.3])
def test_dequantisation_is_a_lower_bound_whose_exponential_is_unbiased(location: float) -> None:
    """E log p <= log P(k), and E p = P(k): so many importance samples tighten the bound."""
    density = Transformed(Normal(Known(0.5)), Logit())
    params = double(location)
    base = density(params).base_dist.base_dist  # type: ignore[attr-defined]
    logits = torch.logit(torch.arange(257, dtype=torch.float64) / 256)
    exact = np.diff(base.cdf(logits).flatten().numpy())
    n = 4000
    drawn = Dequantised(density)(params.expand(n, 256, 1)).log_prob(GREYS.reshape(1, 256, 1))
    assert drawn.shape == (n, 256)
    error = 5 * drawn.exp().std(0) / n**0.5 + 1e-12
    assert ((drawn.exp().mean(0) - torch.from_numpy(exact)).abs() < error).all()
    common = exact > 1e-12
    below = drawn.mean(0).numpy()[common] - 5 * drawn.std(0).numpy()[common] / n**0.5
    assert (below <= np.log(exact[common])).all()


def test_dequantised_draws_have_the_masses_of_the_levels() -> None:
    distribution = Dequantised(Transformed(Normal(Known(0.5)), Logit()))(double(0.3))
    n = 40_000
    drawn = distribution.expand(Size((n, 1))).sample()
    assert Levels256().support.check(drawn).all()
    exact = stats.norm(0.3, 0.5).cdf(np.log(np.arange(1, 256) / np.arange(255, 0, -1)))
    masses = np.diff(np.concatenate([[0.0], exact, [1.0]]))
    found = np.bincount((drawn * 255).round().long().flatten().numpy(), minlength=256) / n
    common = n * masses > 30
    assert common.sum() > 50
    assert (np.abs(found - masses)[common] <= 5 * np.sqrt(masses / n)[common]).all()
    assert float(distribution.mean) == pytest.approx((masses * np.arange(256)).sum() / 255, abs=1e-4)


def test_a_uniform_density_dequantised_costs_eight_bits_and_says_what_it_bounds() -> None:
    family = Dequantised(Beta(Known(2.0)))
    log_mass = family(torch.zeros(1, 4, 6)).log_prob(torch.randint(256, (1, 4, 6)) / 255)
    density = family.density(torch.zeros(1))
    torch.testing.assert_close(bits_per_dimension(log_mass, (6,), density), torch.full((1, 4), 8.0), rtol=1e-5, atol=0)
    assert str(density) == "lower bound of the probability mass of 8-bit values, in nats per example"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_black_and_white_stay_finite(dtype: torch.dtype) -> None:
    params = torch.zeros(500, 2, 2, dtype=dtype, requires_grad=True)
    log_prob = Dequantised(Transformed(Normal(), Logit()))(params).log_prob(torch.tensor([[[0.0], [1.0]]], dtype=dtype))
    assert log_prob.dtype == dtype
    assert log_prob.isfinite().all()
    assert torch.autograd.grad(log_prob.sum(), params)[0].isfinite().all()


def test_each_coordinate_and_sample_has_its_own_noise() -> None:
    distribution = Dequantised(Transformed(Normal(), Logit()))(torch.zeros(3, 2, 4))
    found = distribution.log_prob(torch.full((1, 2, 2), 200 / 255))
    assert len(found.flatten().unique()) == 6
    assert each(Dequantised(Beta(Known(2.0)))(torch.zeros(1, 1, 1)), torch.zeros(3)).shape == (3,)
