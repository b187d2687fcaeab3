"""Every bijection of the registry, and the distributions made with it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Size, Tensor, nn
from torch.autograd import gradcheck
from torch.distributions import Distribution, Normal

from families.held_to_account import assert_mean, waves
from flows.grids import grid, integral
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Latent, Parametric, over_event
from vaekit.evaluate import log_evidence
from vaekit.families import FullNormal, Known
from vaekit.families import Normal as NormalFamily
from vaekit.flows import FLOWS, Bijection, Flow, FlowDistribution, iaf, maf, nsf, planar
from vaekit.flows.bijection import set_standard, standardised
from vaekit.flows.residual import solve
from vaekit.priors import standard_normal

CONTEXT = 3
SLACK = 1e-3
"""What a grid of this size leaves open where a density has kinks."""
BATCH = 2

every_flow = pytest.mark.parametrize("name", FLOWS)
with_and_without_context = pytest.mark.parametrize("context", [0, CONTEXT], ids=["prior", "posterior"])


def awake(name: str, features: int, context: int = 0) -> Bijection:
    """A bijection in float64 whose parameters are not where they start."""
    bijection = FLOWS[name](features, context).double()
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.mul_(0.5).add_(0.2 * torch.randn_like(parameter) / parameter.shape[-1] ** 0.5)
    return bijection


def context_of(bijection: Bijection) -> Tensor | None:
    return torch.randn(1, BATCH, bijection.context).double() if bijection.context else None


def flow_of(bijection: Bijection) -> FlowDistribution:
    batch = BATCH if bijection.context else 1
    loc = torch.zeros(1, batch, bijection.features).double()
    return FlowDistribution(over_event(Normal(loc, torch.ones_like(loc))), bijection(context_of(bijection)))


@every_flow
@with_and_without_context
@pytest.mark.parametrize("features", [1, 2, 5])
def test_a_bijection_comes_back_and_its_log_det_is_that_of_its_jacobian(name: str, context: int, features: int) -> None:
    bijection = awake(name, features, context)
    to_base = bijection(context_of(bijection))
    e = torch.randn(3, BATCH, features).double()
    z, log_det = to_base.inv.call_and_ladj(e)
    back, opposite = to_base.call_and_ladj(z)
    torch.testing.assert_close(back, e, rtol=0, atol=1e-7)
    torch.testing.assert_close(opposite, -log_det, rtol=0, atol=1e-7)
    jacobian = torch.autograd.functional.jacobian(lambda one: to_base.inv(one.expand(1, BATCH, -1))[0], e[0, 0])
    expected = torch.linalg.slogdet(jacobian).logabsdet
    found = to_base.inv.call_and_ladj(e[0, 0].expand(1, BATCH, -1))[1][0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


@every_flow
@with_and_without_context
@pytest.mark.parametrize("features", [1, 2])
def test_the_density_integrates_to_one(name: str, context: int, features: int) -> None:
    total = integral(flow_of(awake(name, features, context)), features)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=SLACK)


@every_flow
@with_and_without_context
def test_a_draw_knows_its_density(name: str, context: int) -> None:
    flow = flow_of(awake(name, 4, context)).expand(Size((50, BATCH)))
    z, log_prob = flow.rsample_and_log_prob()
    assert z.shape == (50, BATCH, 4)
    assert log_prob.shape == (50, BATCH)
    torch.testing.assert_close(log_prob, flow.log_prob(z), rtol=0, atol=1e-6)


@every_flow
@with_and_without_context
def test_draws_follow_the_density(name: str, context: int) -> None:
    flow = flow_of(awake(name, 2, context))
    draws = flow.expand(Size((20_000, flow.batch_shape[1]))).sample()
    assert_mean(waves(draws), integral(flow, 2, waves), slack=SLACK)


@every_flow
def test_draws_of_one_coordinate_fit_the_distribution_function(name: str) -> None:
    flow = flow_of(awake(name, 1))
    nodes, volumes = grid(1)
    mass = (flow.log_prob(nodes).exp() * volumes).flatten().detach()
    cumulative = mass.cumsum(0) - mass / 2
    draws = flow.expand(Size((20_000, 1))).sample().flatten().numpy()
    fit = stats.kstest(draws, lambda z: np.interp(z, nodes.flatten().numpy(), cumulative.numpy()))
    assert fit.pvalue > 1e-6


@every_flow
@with_and_without_context
def test_the_mean_is_that_of_the_draws_and_the_same_every_time(name: str, context: int) -> None:
    flow = flow_of(awake(name, 3, context))
    draws = flow.expand(Size((20_000, flow.batch_shape[1]))).sample()
    assert flow.mean.shape == (1, flow.batch_shape[1], 3)
    assert_mean(draws, flow.mean[0], slack=0.02)
    assert torch.equal(flow.mean, flow.mean)


def test_the_mean_of_an_affine_flow_is_exact() -> None:
    affine = torch.distributions.AffineTransform(1.0, 2.0, event_dim=1)
    base = FullNormal()(torch.randn(1, BATCH, 5).double())
    flow = FlowDistribution(base, affine)
    torch.testing.assert_close(flow.mean, (base.mean - 1) / 2, rtol=0, atol=1e-12)


def test_a_row_has_the_same_mean_whatever_rows_it_comes_with() -> None:
    bijection = awake("iaf", 3)
    loc = torch.randn(1, BATCH, 3).double()
    means = [
        FlowDistribution(over_event(Normal(part, torch.ones_like(part))), bijection()).mean
        for part in (loc, loc[:, :1])
    ]
    torch.testing.assert_close(means[0][:, :1], means[1], rtol=0, atol=1e-12)


@every_flow
@with_and_without_context
def test_every_parameter_has_a_gradient_from_draws(name: str, context: int) -> None:
    bijection = awake(name, 3, context)
    z, log_prob = flow_of(bijection).expand(Size((7, BATCH))).rsample_and_log_prob()
    (z.sin().sum() + log_prob.sum()).backward()
    for parameter_name, parameter in bijection.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert (parameter.grad != 0).any(), parameter_name


@every_flow
def test_the_density_has_the_right_gradient_in_its_value(name: str) -> None:
    flow = flow_of(awake(name, 2, CONTEXT))
    value = torch.randn(2, BATCH, 2).double().requires_grad_()
    assert gradcheck(flow.log_prob, (value,), atol=1e-5)


@pytest.mark.parametrize("name", ["planar", "sylvester", "maf"])
def test_the_density_has_the_right_gradient_in_its_context(name: str) -> None:
    """For planar and Sylvester flows the density at a value inverts the map by bisection; its gradient is implicit."""
    bijection = awake(name, 2, CONTEXT)
    z = torch.randn(2, BATCH, 2).double()
    base = standard_normal(2).double()({})
    context = torch.randn(1, BATCH, CONTEXT).double().requires_grad_()
    assert gradcheck(lambda read: FlowDistribution(base, bijection(read)).log_prob(z), (context,), atol=1e-5)


@every_flow
def test_densities_far_out_are_finite_in_float32(name: str) -> None:
    flow = FlowDistribution(standard_normal(3)({}), FLOWS[name](3, 0)())
    value = torch.tensor([-100.0, -5.0, 0.0, 5.0, 100.0]).reshape(-1, 1, 1).expand(-1, 1, 3).clone().requires_grad_()
    log_prob = flow.log_prob(value)
    log_prob.sum().backward()
    assert log_prob.dtype == torch.float32
    assert log_prob.isfinite().all()
    assert value.grad is not None
    assert value.grad.isfinite().all()


@pytest.mark.parametrize("gain", [-0.99, 0.5, 3.0])
def test_the_monotone_equation_is_solved_everywhere(gain: float) -> None:
    target = torch.linspace(-30, 30, 101).double()
    one = torch.ones_like(target)
    root = solve(target, gain * one, one, 0.3 * one)
    torch.testing.assert_close(root + gain * (root + 0.3).tanh(), target, rtol=0, atol=1e-10)


def test_a_flow_with_strong_bends_still_has_a_density() -> None:
    """Planar parameters that would fold space over are moved to where they do not."""
    bijection = planar(2, steps=3).double()
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.mul_(20)
    e = torch.randn(1000, 1, 2).double()
    z, log_det = bijection().inv.call_and_ladj(e)
    assert log_det.isfinite().all()
    torch.testing.assert_close(bijection()(z), e, rtol=0, atol=1e-6)


def test_the_iaf_is_the_inverse_of_the_maf() -> None:
    forward = maf(3).double()
    z = torch.randn(5, 1, 3).double()
    torch.testing.assert_close(forward.inv()(forward()(z)), z, rtol=0, atol=1e-10)
    assert forward.inv.inv.make is forward.make


def test_a_standardised_bijection_sees_points_of_mean_0_and_spread_1() -> None:
    points = torch.randn(500, 2).double() @ torch.diag(torch.tensor([5.0, 0.1]).double()) + 7
    bijection = standardised(maf(2)).double()
    set_standard(bijection, points)
    flow = FlowDistribution(standard_normal(2).double()({}), bijection())
    alone = FlowDistribution(standard_normal(2).double()({}), Bijection(bijection.make.then, 2)())  # type: ignore[arg-type]
    centred = (points - points.mean(0)) / points.std(0)
    expected = alone.log_prob(centred) - points.std(0).log().sum()
    torch.testing.assert_close(flow.log_prob(points), expected, rtol=0, atol=1e-10)


def test_a_flow_over_a_map_is_one_over_the_vector_of_its_values() -> None:
    bijection = awake("maf", 12)
    of_map = Flow(standard_normal((2, 3, 2)), bijection).double()({})
    of_vector = Flow(standard_normal(12), bijection).double()({})
    z = of_map.expand(Size((4, BATCH))).sample()
    assert z.shape == (4, BATCH, 2, 3, 2)
    assert of_map.mean.shape == (2, 3, 2)
    torch.testing.assert_close(of_map.log_prob(z), of_vector.log_prob(z.flatten(2)), rtol=1e-12, atol=1e-12)


def test_a_posterior_reads_features_through_a_net_of_its_own_or_as_they_are() -> None:
    encoder = Parametric(nn.Linear(6, 4), NormalFamily(), given="x")
    context = {"x": torch.randn(1, BATCH, 6), "c": torch.randn(1, BATCH, 2)}
    through = Flow(encoder, iaf(2, context=5), given=("x", "c"), net=nn.Bilinear(6, 2, 5))
    joined = Flow(encoder, iaf(2, context=8), given=("x", "c"))
    for flow in (through, joined):
        assert flow.given == ("x", "c")
        assert flow(context).expand(Size((3, BATCH))).sample().shape == (3, BATCH, 2)
        assert flow(context).log_prob(torch.zeros(3, BATCH, 2)).shape == (3, BATCH)


def test_a_conditional_flow_over_an_unconditional_base_has_the_contexts_batch() -> None:
    flow = Flow(standard_normal(2), maf(2, context=CONTEXT), given="c")
    assert flow({"c": torch.randn(5, BATCH, CONTEXT)}).batch_shape == (5, BATCH)


def linear_gaussian(posterior: Flow, decoder: nn.Linear) -> VAE:
    likelihood = Parametric(decoder, NormalFamily(Known(1.5)), given="z")
    return VAE(likelihood, z=Latent(standard_normal(2), posterior))


@pytest.mark.parametrize("make", [iaf, planar, nsf])
def test_a_flow_posterior_weighs_right(make: type[Bijection]) -> None:
    """Importance sampling with any posterior finds the evidence, which is known for a linear-Gaussian model."""
    decoder = nn.Linear(2, 3).double()
    encoder = Parametric(nn.Linear(3, 4), NormalFamily(), given="x")
    nn.init.zeros_(encoder.params.net.weight)  # type: ignore[arg-type]
    model = linear_gaussian(Flow(encoder, make(2, CONTEXT), given="x"), decoder).double()
    x = torch.randn(BATCH, 3).double()
    covariance = decoder.weight @ decoder.weight.T + 2.25 * torch.eye(3).double()
    exact = torch.distributions.MultivariateNormal(decoder.bias, covariance).log_prob(x)
    found = log_evidence(model, x, samples=20_000)
    assert ((found.log_evidence - exact).abs() < 5 * found.stderr + 1e-6).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: maf(0), "at least 1 feature"),
        (lambda: planar(2, -1), "context of 0 or more"),
        (lambda: Flow(standard_normal(3), maf(2)), r"bijection of 2 values cannot map an event of shape \(3,\)"),
        (lambda: Flow(standard_normal(2), maf(2), given="c"), "reads a context of 0 values"),
        (lambda: Flow(standard_normal(2), maf(2, context=3)), "reads a context of 3 values"),
        (lambda: maf(2, context=3)(torch.zeros(1, 1, 4)), "context of 3 values was given 4"),
    ],
)
def test_what_does_not_fit_is_refused(make: type[Bijection], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_the_import_leaves_torchs_defaults_alone() -> None:
    program = (
        "from torch.distributions import Distribution\n"
        "before = Distribution._validate_args\n"
        "import vaekit.flows\n"
        "assert Distribution._validate_args is before, Distribution._validate_args\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert Distribution._validate_args
