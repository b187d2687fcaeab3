"""The core on models whose evidence is known: what a trace and a generation must be."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.distributions import MultivariateNormal

from core.linear_gaussian import LinearGaussian, TwoLevels
from core.statistics import SIGMAS, assert_mean, assert_moments
from vaekit.core import VAE, Batch, Conditional, Context, Deterministic, Latent, Parametric
from vaekit.families import Known, Normal
from vaekit.objectives import Elbo, Step, sampled_kl

HIERARCHIES = {"bottom up": TwoLevels.exact_bottom_up, "top down": TwoLevels.exact_top_down}
either_way = pytest.mark.parametrize("build", HIERARCHIES.values(), ids=HIERARCHIES)


class ExactPosterior(Conditional):
    """p(z | x), as a conditional written by hand."""

    given = ("x",)

    def __init__(self, truth: LinearGaussian) -> None:
        super().__init__()
        self.exact = truth.exact

    def forward(self, context: Context) -> MultivariateNormal:
        loc = context["x"] @ self.exact.A.T + self.exact.b
        return MultivariateNormal(loc, scale_tril=self.exact.L, validate_args=False)


@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "full normal"])
def test_with_the_exact_posterior_the_elbo_is_the_evidence(by_hand: bool) -> None:
    """log p(x, z) - log q(z | x) = log p(x) for every z: no draw has any error."""
    truth = LinearGaussian.random()
    model = truth.model(ExactPosterior(truth) if by_hand else truth.exact.full_normal("x"))  # type: ignore[arg-type]
    x = truth.evidence.sample((6,))
    exact = truth.evidence.log_prob(x)
    weights = model.trace(x, samples=5).log_weight
    torch.testing.assert_close(weights, exact.expand(5, 6), rtol=0, atol=1e-10)
    terms = Elbo(kl=sampled_kl, samples=3)(model, Batch(x), Step.first())
    torch.testing.assert_close(terms.elbo, exact, rtol=0, atol=1e-10)
    torch.testing.assert_close(terms.value, exact, rtol=0, atol=1e-10)


@either_way
def test_with_exact_posteriors_a_hierarchy_has_no_error_either(build: Callable[[TwoLevels], VAE]) -> None:
    truth = TwoLevels.random()
    x = truth.evidence.sample((6,))
    weights = build(truth).trace(x, samples=5).log_weight
    torch.testing.assert_close(weights, truth.evidence.log_prob(x).expand(5, 6), rtol=0, atol=1e-10)


def test_generated_rows_have_the_moments_of_the_evidence() -> None:
    truth = LinearGaussian.random()
    generation = truth.model(truth.inexact.normal("x")).sample(50_000)
    assert_moments(generation.draw(), truth.evidence.mean, truth.evidence.covariance_matrix)
    assert_moments(generation.latent("z"), torch.zeros(2).double(), torch.eye(2).double())
    assert_moments(generation.mean, truth.b, truth.W @ truth.W.T)


@either_way
def test_rows_of_a_hierarchy_have_the_moments_of_its_evidence(build: Callable[[TwoLevels], VAE]) -> None:
    truth = TwoLevels.random()
    generation = build(truth).sample(50_000)
    assert_moments(generation.draw(), truth.evidence.mean, truth.evidence.covariance_matrix)
    z1 = truth.upper.evidence
    assert_moments(generation.latent("z1"), z1.mean, z1.covariance_matrix)


@either_way
def test_joint_draws_from_the_model_and_from_its_exact_posterior_are_alike(build: Callable[[TwoLevels], VAE]) -> None:
    """x ~ p(x), z ~ q(z | x): the latents of a trace then have the moments of the prior."""
    truth = TwoLevels.random()
    terms = build(truth).trace(truth.evidence.sample((50_000,))).latents
    z1 = truth.upper.evidence
    assert_moments(terms["z1"].value[0], z1.mean, z1.covariance_matrix)
    assert_moments(terms["z2"].value[0], torch.zeros(2).double(), torch.eye(2).double())


def test_a_clamped_latent_is_conditioned_on() -> None:
    """With z2 known, log_weight is log p(x, z2) under q(z1 | x, z2) exact."""
    truth = TwoLevels.random()
    x, z2 = truth.evidence.sample((6,)), torch.randn(6, 2).double()
    trace = truth.exact_top_down().trace(x, samples=3, given={"z2": z2})
    W, b, s = truth.lower.W, truth.lower.b, truth.lower.s
    mean = (z2 @ truth.upper.W.T + truth.upper.b) @ W.T + b
    cov = truth.upper.s**2 * W @ W.T + s**2 * torch.eye(4).double()
    log_prior = -0.5 * z2.square().sum(-1) - math.log(2 * math.pi)
    expected = MultivariateNormal(mean, cov).log_prob(x) + log_prior
    torch.testing.assert_close(trace.log_weight, expected.expand(3, 6), rtol=0, atol=1e-10)


def test_with_every_latent_clamped_nothing_is_drawn() -> None:
    truth = LinearGaussian.random()
    x, z = truth.evidence.sample((6,)), torch.randn(6, 2).double()
    trace = truth.model(truth.inexact.normal("x")).trace(x, samples=4, given={"z": z})
    joint = torch.distributions.Normal(z @ truth.W.T + truth.b, truth.s).log_prob(x).sum(-1)
    joint = joint + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(trace.log_weight, joint.expand_as(trace.log_weight), rtol=0, atol=1e-10)
    assert torch.equal(trace.latents["z"].value[0], z)


def test_generation_from_a_clamped_latent_is_conditioned_on_it() -> None:
    truth = TwoLevels.random()
    z2 = torch.tensor([[1.0, -2.0]]).double().expand(50_000, 2)
    rows = truth.exact_top_down().sample(50_000, given={"z2": z2}).draw()
    W, s = truth.lower.W, truth.lower.s
    mean = (truth.upper.W @ z2[0] + truth.upper.b) @ W.T + truth.lower.b
    assert_moments(rows, mean, truth.upper.s**2 * W @ W.T + s**2 * torch.eye(4).double())


def test_a_condition_reaches_every_part_that_reads_it() -> None:
    """p(x | z, y) = N(W z + y, s^2 I): the evidence is that of x - y."""
    truth = LinearGaussian.random()
    exact = truth.exact

    class Shifted(torch.nn.Module):
        def forward(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return z @ truth.W.T + truth.b + y

    class Unshifted(torch.nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            encoded: torch.Tensor = exact.full_normal("x").params.net(x - y)
            return encoded

    posterior = exact.full_normal("x")
    posterior = Parametric(Unshifted(), posterior.family, ("x", "y"))
    likelihood = Parametric(Shifted(), Normal(Known(truth.s)), ("z", "y"))
    plain = truth.model(truth.exact.full_normal("x"))
    model = VAE(likelihood, z=Latent(plain.parts["z"].prior, posterior)).double()  # type: ignore[union-attr,arg-type]
    assert model.conditions == {"y"}
    y = torch.randn(6, 4).double()
    x = truth.evidence.sample((6,)) + y
    weights = model.trace(x, samples=3, given={"y": y}).log_weight
    torch.testing.assert_close(weights, truth.evidence.log_prob(x - y).expand(3, 6), rtol=0, atol=1e-10)
    rows = model.sample(50_000, given={"y": y[:1].expand(50_000, 4)}).draw()
    assert_moments(rows, truth.b + y[0], truth.evidence.covariance_matrix)


def test_a_value_read_by_many_changes_nothing_that_the_model_says() -> None:
    """The same model with its features as a node of their own."""
    truth = LinearGaussian.random()
    encoder = truth.exact.full_normal("x")
    identity = Parametric(torch.nn.Identity(), encoder.family, "h")
    prior = truth.model(truth.exact.full_normal("x")).parts["z"].prior
    model = VAE(
        truth.likelihood(),
        z=Latent(prior, identity),  # type: ignore[arg-type]
        h=Deterministic(encoder.params.net, "x"),
    ).double()
    x = truth.evidence.sample((6,))
    weights = model.trace(x, samples=3).log_weight
    torch.testing.assert_close(weights, truth.evidence.log_prob(x).expand(3, 6), rtol=0, atol=1e-10)


def test_draws_are_independent_between_samples_and_between_rows() -> None:
    """The same row again and again: the correlation of its draws is that of chance."""
    truth = LinearGaussian.random(latents=1)
    x = truth.evidence.sample().expand(20_000, -1)
    z = truth.model(truth.inexact.normal("x")).trace(x, samples=3).latents["z"].value.detach().squeeze(-1)
    assert z.shape == (3, 20_000)
    series = torch.cat([z[:, ::2], z[:, 1::2]])
    assert ((series.corrcoef() - torch.eye(6)).abs() < SIGMAS / 10_000**0.5).all()
    assert_mean(z.flatten().unsqueeze(-1), truth.inexact.at(x[:1]).mean[0])
