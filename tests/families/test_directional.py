"""Distributions on the sphere: against Bessel functions, closed forms, quadrature and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Size, Tensor
from torch.distributions import kl_divergence

from core.statistics import assert_mean, stderr
from vaekit.common.errors import UsageError
from vaekit.families import PowerSpherical, VonMisesFisher
from vaekit.families.directional import PowerSphericalDistribution, VonMisesFisherDistribution, unit
from vaekit.families.sphere import AroundAxis, UniformOnSphere, log_area, sphere
from vaekit.priors import sphere_uniform

KINDS = [VonMisesFisherDistribution, PowerSphericalDistribution]
DIMENSIONS = [2, 3, 5, 20, 100, 500]
CONCENTRATIONS = [1e-3, 0.3, 1.0, 10.0, 100.0, 1e3, 1e4]

Make = Callable[[Tensor, Tensor], AroundAxis]
every_kind = pytest.mark.parametrize("make", KINDS)
grid = pytest.mark.parametrize(("dimensions", "kappa"), [(d, k) for d in DIMENSIONS for k in CONCENTRATIONS])


def around(make: Make, dimensions: int, kappa: float, dtype: torch.dtype = torch.float64) -> AroundAxis:
    axis = unit(torch.randn(dimensions, dtype=dtype))
    return make(axis, torch.tensor(kappa, dtype=dtype))


def mean_cosine(make: Make, dimensions: int, kappa: float) -> float:
    """A_d(kappa): a ratio of Bessel functions, or of the concentration and a constant."""
    if make is PowerSphericalDistribution:
        return kappa / (kappa + dimensions - 1)
    return float(special.ive(dimensions / 2, kappa) / special.ive(dimensions / 2 - 1, kappa))


def log_density_at_axis(make: Make, dimensions: int, kappa: float) -> float:
    """log p(axis), from the normaliser in the papers."""
    if make is PowerSphericalDistribution:
        b = (dimensions - 1) / 2
        a = b + kappa
        difference = special.gammaln(a + b) - special.gammaln(a)
        return difference - (a + b) * math.log(2) - b * math.log(math.pi) + kappa * math.log(2)
    order = dimensions / 2 - 1
    return order * math.log(kappa) - dimensions / 2 * math.log(2 * math.pi) - math.log(special.ive(order, kappa))


def known(make: Make, dimensions: int, kappa: float) -> bool:
    """Bessel functions of a high order and a small argument are too small for a float."""
    return make is PowerSphericalDistribution or float(special.ive(dimensions / 2, kappa)) > 1e-280


@every_kind
@grid
@pytest.mark.parametrize(("dtype", "precision"), [(torch.float64, 1e-9), (torch.float32, 2e-6)])
def test_normaliser_and_mean_are_those_of_the_papers(
    make: Make, dimensions: int, kappa: float, dtype: torch.dtype, precision: float
) -> None:
    if not known(make, dimensions, kappa):
        pytest.skip("the reference underflows")
    distribution = around(make, dimensions, kappa, dtype)
    expected = log_density_at_axis(make, dimensions, kappa)
    found = float(distribution.log_prob(distribution.loc))
    assert abs(found - expected) <= precision * (1 + abs(expected) + abs(log_area(dimensions)))
    assert abs(float(distribution.cosine) - mean_cosine(make, dimensions, kappa)) <= precision


@every_kind
@grid
def test_the_divergence_from_uniform_is_in_closed_form(make: Make, dimensions: int, kappa: float) -> None:
    if not known(make, dimensions, kappa):
        pytest.skip("the reference underflows")
    at_axis, cosine = log_density_at_axis(make, dimensions, kappa), mean_cosine(make, dimensions, kappa)
    if make is PowerSphericalDistribution:
        b = (dimensions - 1) / 2
        tilt = kappa * (special.digamma(b + kappa) - special.digamma(2 * b + kappa))
    else:
        tilt = kappa * (cosine - 1)
    expected = at_axis + tilt + log_area(dimensions)
    q = around(make, dimensions, kappa)
    found = kl_divergence(q, UniformOnSphere(torch.zeros(dimensions, dtype=torch.float64)))
    assert abs(float(found) - expected) <= 1e-8 * (1 + abs(at_axis))
    assert abs(float(q.entropy()) - log_area(dimensions) + expected) <= 1e-8 * (1 + abs(at_axis))


def circle(points: int = 20_000) -> tuple[Tensor, float]:
    angle = torch.arange(points, dtype=torch.float64) * 2 * math.pi / points
    return torch.stack([angle.cos(), angle.sin()], -1), 2 * math.pi / points


def ball(points: int = 1200) -> tuple[Tensor, float]:
    """Equal areas: even heights by even angles (Archimedes)."""
    height = (torch.arange(points, dtype=torch.float64) + 0.5) / points * 2 - 1
    angle = torch.arange(points // 4, dtype=torch.float64) * 8 * math.pi / points
    radius = (1 - height.square()).sqrt().unsqueeze(-1)
    x = torch.stack(torch.broadcast_tensors(radius * angle.cos(), radius * angle.sin(), height.unsqueeze(-1)), -1)
    return x.reshape(-1, 3), 4 * math.pi / (points * (points // 4))


@every_kind
@pytest.mark.parametrize("kappa", [0.0, 0.5, 5.0, 50.0])
@pytest.mark.parametrize("surface", [circle, ball])
def test_the_density_integrates_to_one_and_to_its_moments(
    make: Make, kappa: float, surface: Callable[[], tuple[Tensor, float]]
) -> None:
    x, area = surface()
    q = around(make, x.shape[-1], kappa)
    mass = q.log_prob(x).exp() * area
    assert abs(float(mass.sum()) - 1) < 1e-5
    torch.testing.assert_close(mass @ x, q.mean, rtol=0, atol=1e-5)
    torch.testing.assert_close(mass @ (x - q.mean).square(), q.variance, rtol=0, atol=1e-5)


@every_kind
@pytest.mark.parametrize(("dimensions", "kappa"), [(10, 4.0), (50, 15.0)])
def test_the_density_is_one_in_the_mean_over_many_dimensions(make: Make, dimensions: int, kappa: float) -> None:
    everywhere = UniformOnSphere(torch.zeros(dimensions, dtype=torch.float64))
    x = everywhere.sample((100_000,))
    ratio = (around(make, dimensions, kappa).log_prob(x) - everywhere.log_prob(x)).exp()
    assert_mean(ratio, torch.ones((), dtype=torch.float64))
    assert float(stderr(ratio)) < 0.03


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("dimensions", "kappa"), [(2, 0.3), (2, 300.0), (3, 5.0), (10, 20.0), (50, 1e3), (500, 1e4)])
def test_draws_lie_on_the_sphere_and_have_mean_and_divergence(
    make: Make, dimensions: int, kappa: float, dtype: torch.dtype
) -> None:
    q = around(make, dimensions, kappa, dtype)
    x = q.sample(Size((20_000,)))
    assert sphere.check(x).all()
    assert_mean((x @ q.loc).double(), torch.tensor(mean_cosine(make, dimensions, kappa)), slack=1e-6)
    assert_mean(x, q.mean, slack=1e-6)
    assert_mean((x - q.mean).square(), q.variance, slack=1e-5)
    assert_mean(q.log_prob(x).double() + log_area(dimensions), q.divergence().double(), slack=1e-3)


@every_kind
def test_angles_on_the_circle_have_the_distribution_function(make: Make) -> None:
    q = make(torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64))
    angle = torch.linspace(-math.pi, math.pi, 20_001, dtype=torch.float64)
    density = q.log_prob(torch.stack([angle.cos(), angle.sin()], -1)).exp()
    mass = torch.cumulative_trapezoid(density, angle)
    x = q.sample(Size((20_000,)))
    drawn = torch.atan2(x[:, 1], x[:, 0])
    fit = stats.kstest(drawn.numpy(), lambda t: np.interp(t, angle[1:].numpy(), mass.numpy()))
    assert fit.pvalue > 1e-6


@every_kind
@pytest.mark.parametrize(("dimensions", "kappa"), [(2, 0.7), (2, 40.0), (3, 3.0), (6, 10.0), (40, 60.0)])
def test_the_gradient_of_draws_is_that_of_the_expectation(make: Make, dimensions: int, kappa: float) -> None:
    """In the axis, through its direction from a free vector, and in the concentration; by finite differences."""
    torch.set_default_dtype(torch.float64)
    try:
        raw, a, b = torch.randn(dimensions), torch.randn(dimensions), torch.randn(dimensions)
        step = 1e-5

        def exact(raw: Tensor, kappa: float) -> float:
            return float(moments(make, unit(raw), kappa, a, b))

        shifts = step * torch.eye(dimensions)
        by_axis = torch.tensor([(exact(raw + h, kappa) - exact(raw - h, kappa)) / (2 * step) for h in shifts])
        by_kappa = (exact(raw, kappa * (1 + step)) - exact(raw, kappa * (1 - step))) / (2 * step * kappa)

        many = raw.expand(40_000, -1).clone().requires_grad_()
        kappas = torch.full((40_000,), kappa, requires_grad=True)
        x = make(unit(many), kappas).rsample()
        (x @ a + (x @ b).square()).sum().backward()
        assert many.grad is not None
        assert kappas.grad is not None
        assert_mean(many.grad, by_axis, slack=1e-6)
        assert_mean(kappas.grad, torch.tensor(by_kappa), slack=1e-7)
    finally:
        torch.set_default_dtype(torch.float32)


def moments(make: Make, axis: Tensor, kappa: float, a: Tensor, b: Tensor) -> Tensor:
    """E [a . x + (b . x)^2], from mean and mean square of the cosine in closed form."""
    dimensions = len(axis)
    cosine = mean_cosine(make, dimensions, kappa)
    if make is PowerSphericalDistribution:
        beta = (dimensions - 1) / 2
        alpha = beta + kappa
        variance = 4 * alpha * beta / ((alpha + beta) ** 2 * (alpha + beta + 1))
        along = variance + cosine**2
    else:
        along = 1 - (dimensions - 1) / kappa * cosine
    across = (1 - along) / (dimensions - 1)
    return cosine * (a @ axis) + across * (b @ b) + (along - across) * (b @ axis).square()


@every_kind
def test_the_gradient_of_the_divergence_is_that_of_finite_differences(make: Make) -> None:
    kappa = torch.tensor([0.2, 3.0, 80.0], dtype=torch.float64, requires_grad=True)
    axis = unit(torch.randn(3, 7, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda k: make(axis, k).divergence(), kappa)
    x = unit(torch.randn(3, 7, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda k: make(axis, k).log_prob(x), kappa)


@every_kind
@pytest.mark.parametrize("kappa", [0.0, 1e-6, 1e4, 1e6])
def test_in_float32_everything_is_finite_at_the_extremes(make: Make, kappa: float) -> None:
    for dimensions in (2, 20, 500):
        axis = unit(torch.randn(64, dimensions)).requires_grad_()
        kappas = torch.full((64,), kappa, requires_grad=True)
        q = make(axis, kappas)
        x = q.rsample()
        (q.log_prob(x).sum() + q.divergence().sum() + x.sum()).backward()
        for value in (x, q.log_prob(x), q.divergence(), axis.grad, kappas.grad):
            assert value is not None
            assert value.isfinite().all()


@pytest.mark.parametrize("family", [VonMisesFisher(), PowerSpherical()])
def test_a_map_holds_a_direction_at_each_position(family: VonMisesFisher | PowerSpherical) -> None:
    params = torch.randn(2, 3, 5, 2, 3).double()
    of_map = family(params)
    assert (of_map.batch_shape, of_map.event_shape) == ((2, 3), (4, 2, 3))
    x = of_map.sample()
    each = [family(params[..., i, j]).log_prob(x[..., i, j]) for i in range(2) for j in range(3)]
    torch.testing.assert_close(of_map.log_prob(x), torch.stack(each).sum(0))
    prior = sphere_uniform((4, 2, 3)).double()({})
    torch.testing.assert_close(prior.log_prob(x), torch.full((2, 3), -6 * log_area(4)).double())
    draws = of_map.sample(Size((5000,)))
    assert_mean(of_map.log_prob(draws) - prior.log_prob(draws), kl_divergence(of_map, prior))


def test_a_vector_of_length_0_has_a_direction_and_an_infinite_one_is_not_needed() -> None:
    raw = torch.tensor([[0.0, 0.0, 0.0], [1e-30, 0.0, -1e-30], [1e30, 1e30, 0.0]], requires_grad=True)
    direction = unit(raw)
    torch.testing.assert_close(direction.norm(dim=-1), torch.ones(3))
    direction.sum().backward()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize("family", [VonMisesFisher(), PowerSpherical()])
def test_a_single_coordinate_has_no_direction(family: VonMisesFisher | PowerSpherical) -> None:
    with pytest.raises(UsageError, match=r"at least 2 coordinates, not an event of shape \(1,\)"):
        family.width(Size((1,)))
    with pytest.raises(UsageError, match=r"shape \(1,\)"):
        sphere_uniform(1)


@pytest.mark.parametrize("dimensions", [2, 3, 50])
def test_a_draw_without_an_accepted_proposal_is_as_rare_as_it_is_said(dimensions: int) -> None:
    """With one proposal each, as many as are refused come out with another law: at most 0.35 of them."""
    q = around(VonMisesFisherDistribution, dimensions, 1e4)
    proposals = torch._standard_gamma(torch.full((2, 100_000), q.half, dtype=torch.float64))
    y = proposals[0].log() - proposals[1].log() + math.log(2 * q.half / (4e4))
    tilted = q._potential(q.concentration, y) - q.half * (y - 2 * torch.log1p((y - math.log(2 * q.half / 4e4)).exp()))
    share = float((tilted - tilted.max()).exp().mean())
    assert share > 0.65
    assert (1 - share) ** q.PROPOSALS < 1e-10
