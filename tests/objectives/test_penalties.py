"""Penalties: what they are worth where that is known, and how they sit beside an objective."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Size, Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from core.linear_gaussian import LinearGaussian
from core.statistics import assert_mean, stderr
from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch, Draw, Latent, LatentTerm, Parametric
from vaekit.families import Known, LowRankNormal, VonMisesFisher
from vaekit.families import Normal as NormalFamily
from vaekit.families.point import Delta
from vaekit.objectives import (
    CodeNorm,
    DipI,
    DipII,
    Elbo,
    GaussianKernel,
    GradientPenalty,
    InverseMultiquadric,
    Iwae,
    Kernel,
    Linear,
    Mmd,
    Penalty,
    Step,
    StratifiedSampling,
    TotalCorrelation,
    WeightDecay,
    WeightedSampling,
    WeightPrior,
    mmd_squared,
    sampled_kl,
)
from vaekit.objectives.moments import mean_covariance
from vaekit.objectives.total_correlation import Aggregation, aggregate_log_densities
from vaekit.priors import standard_normal

STEP = Step.first()


def term_of(loc: Tensor, scale: Tensor, samples: int = 1) -> LatentTerm:
    """What a latent with the posteriors N(loc, scale^2), (batch, coordinate) each, leaves in a trace."""
    posterior = Independent(Normal(loc.unsqueeze(0), scale.unsqueeze(0)), 1)
    value = posterior.expand(torch.Size((samples, len(loc)))).rsample()
    return LatentTerm(value, standard_normal(loc.shape[1]).to(loc)({}), Draw(value, posterior))


# The sum of an objective and penalties


def test_a_sum_is_of_one_trace_and_keeps_the_elbo_apart() -> None:
    """Two penalties beside an IWAE: the value is less by both, of the very same draws; the ELBO is as it was."""
    truth = LinearGaussian.random()
    model, x = truth.model(truth.inexact.normal("x")), truth.evidence.sample((6,))
    seen: list[int] = []

    class Length(Penalty):
        def forward(self, trace, batch, step):  # type: ignore[no-untyped-def]
            seen.append(id(trace))
            return trace.context["z"].square().sum(-1).mean(0)

    with seeded(1):
        alone = Iwae(5)(model, Batch(x), STEP)
    with seeded(1):
        z = model.trace(x, 5).context["z"]
    objective = Iwae(5) + Length() + Length()
    with seeded(1):
        both = objective(model, Batch(x), STEP)
    torch.testing.assert_close(both.value, alone.value - 2 * z.square().sum(-1).mean(0))
    torch.testing.assert_close(both.elbo, alone.elbo)
    assert len(set(seen)) == 1
    assert Iwae(5).is_bound
    assert not objective.is_bound


def test_only_an_objective_of_a_trace_takes_a_penalty() -> None:
    with pytest.raises(TypeError):
        2.0 + CodeNorm()  # type: ignore[operator]


@pytest.mark.parametrize(
    "penalty", [CodeNorm(latent="w"), DipI(latent="w"), Mmd(latent="w"), TotalCorrelation(1.0, 10, latent="w")]
)
def test_a_latent_that_is_not_there_is_named(penalty: Penalty) -> None:
    truth = LinearGaussian.random()
    model = truth.model(truth.inexact.normal("x"))
    objective = Elbo() + penalty
    with pytest.raises(UsageError, match=f"latent in {type(penalty).__name__}: 'w'.*known are z"):
        objective.check(model)
    with pytest.raises(UsageError, match="'w'"):
        objective(model, Batch(truth.evidence.sample((4,))), STEP)


def test_a_weight_may_follow_a_schedule() -> None:
    term = term_of(torch.ones(3, 2), torch.full((3, 2), 1e-6))
    truth = LinearGaussian.random()
    model, x = truth.model(truth.inexact.normal("x")), truth.evidence.sample((6,))
    trace = model.trace(x)
    penalty = CodeNorm(Linear(0.0, 2.0, steps=10))
    full = CodeNorm(2.0)(trace, Batch(x), STEP)
    for step, share in ((0, 0.0), (5, 0.5), (10, 1.0)):
        torch.testing.assert_close(penalty(trace, Batch(x), Step(torch.tensor(step))), share * full)
    torch.testing.assert_close(CodeNorm().loss(term), torch.ones(3), rtol=0, atol=1e-4)


# Total correlation


def test_it_is_the_total_correlation_of_a_gaussian() -> None:
    """With x ~ N(0, C) and q(z | x) = N(x, s^2), q(z) is N(0, C + s^2): TC = -log det(correlation) / 2."""
    n, s = 2000, 0.6
    C = torch.tensor([[1.0, 0.7], [0.7, 0.8]]).double()
    x = MultivariateNormal(torch.zeros(2).double(), C).sample((n,))
    term = term_of(x, torch.full_like(x, s))
    joint = C + s**2 * torch.eye(2).double()
    exact = 0.5 * (joint.diagonal().log().sum() - joint.logdet())
    loss = TotalCorrelation(1.0, num_data=n).loss(term)
    assert_mean(loss, exact, slack=10 / n)
    assert float(exact) > 0.1
    independent = term_of(torch.randn(n, 2).double(), torch.full((n, 2), s).double())
    assert_mean(TotalCorrelation(1.0, num_data=n).loss(independent), torch.zeros(()).double(), slack=10 / n)


@pytest.mark.parametrize("aggregation", [StratifiedSampling, WeightedSampling])
def test_at_beta_1_it_is_the_elbo_and_above_it_weighs_the_estimate(aggregation: type[Aggregation]) -> None:
    """The beta-TCVAE written out: -KL falls into mutual information, total correlation and the coordinates' own KL."""
    truth = LinearGaussian.random()
    model, x = truth.model(truth.inexact.normal("x")), truth.evidence.sample((9,))
    batch = Batch(x)

    def value(beta: float) -> Tensor:
        penalty = TotalCorrelation(beta - 1, num_data=50, aggregation=aggregation)
        with seeded(2):
            return (Elbo(kl=sampled_kl) + penalty)(model, batch, STEP).value

    with seeded(2):
        trace = model.trace(x)
    term = trace.latents["z"]
    joint, marginals = (part[0] for part in aggregate_log_densities(term, aggregation(50)))
    information = term.log_posterior[0] - joint
    correlation = joint - marginals.sum(-1)
    own = marginals.sum(-1) - term.log_prior[0]
    torch.testing.assert_close(value(1.0), trace.log_weight[0])
    torch.testing.assert_close(value(6.0), trace.log_lik[0] - information - 6 * correlation - own)


def test_weighted_sampling_carries_an_offset_that_cancels_only_at_beta_1() -> None:
    """log q is too low by log N, so TC of D coordinates is too high by (D - 1) log N; the offset has no gradient."""
    n, d = 400, 3
    loc = torch.randn(n, d).double().requires_grad_()
    with seeded(3):
        term = term_of(loc, torch.full((n, d), 0.8).double())
    weighted = TotalCorrelation(1.0, n, aggregation=WeightedSampling).loss(term).mean()
    stratified = TotalCorrelation(1.0, n).loss(term).mean()
    torch.testing.assert_close(weighted - stratified, torch.tensor((d - 1) * math.log(n)).double())
    slopes = [torch.autograd.grad(loss, loc, retain_graph=True)[0] for loss in (weighted, stratified)]
    torch.testing.assert_close(*slopes)


def test_stratified_sampling_is_unbiased_over_all_batches() -> None:
    """Of every batch of 3 out of 6 that holds an example: the mean estimate of q(z) at its draw is q(z)."""
    n, size = 6, 3
    loc = torch.randn(n, 2).double()
    whole = term_of(loc, torch.full((n, 2), 0.7).double())
    posterior = Normal(loc, 0.7)
    z = whole.value[0]
    exact = posterior.log_prob(z.unsqueeze(1)).sum(-1).exp().mean(1)
    found: dict[int, list[Tensor]] = {i: [] for i in range(n)}
    for chosen in itertools.combinations(range(n), size):
        rows = list(chosen)
        drawn = Independent(Normal(loc[rows].unsqueeze(0), torch.tensor(0.7).double()), 1)
        term = LatentTerm(z[rows].unsqueeze(0), whole.prior, Draw(z[rows].unsqueeze(0), drawn))
        joint, _ = aggregate_log_densities(term, StratifiedSampling(n))
        for i, value in zip(chosen, joint[0].exp(), strict=True):
            found[i].append(value)
    means = torch.stack([torch.stack(values).mean() for values in found.values()])
    torch.testing.assert_close(means, exact)


def test_a_single_example_has_no_total_correlation() -> None:
    term = term_of(torch.randn(1, 3), torch.ones(1, 3), samples=4)
    torch.testing.assert_close(TotalCorrelation(1.0, num_data=100).loss(term), torch.zeros(1), rtol=0, atol=1e-5)


def test_posteriors_without_coordinates_of_their_own_are_refused() -> None:
    truth = LinearGaussian.random()
    model = truth.model(truth.exact.full_normal("x"))
    with pytest.raises(UsageError, match="independent coordinates"):
        (Elbo() + TotalCorrelation(1.0, 100))(model, Batch(truth.evidence.sample((4,))), STEP)
    with pytest.raises(UsageError, match="num_data is 0"):
        TotalCorrelation(1.0, num_data=0)


# Covariances


def test_dip_presses_the_covariance_towards_the_identity() -> None:
    loc = torch.tensor([[1.0, 2.0], [3.0, 0.0], [-1.0, 1.0]]).double()
    scale = torch.tensor([[0.5, 1.0], [1.0, 2.0], [1.5, 0.1]]).double()
    term = term_of(loc, scale)
    of_means = loc.T.cov()
    both = of_means + torch.diag(scale.square().mean(0))
    for penalty, covariance in ((DipI(3.0, 2.0), of_means), (DipII(3.0, 2.0), both)):
        by_hand = 2 * covariance[0, 1] ** 2 + 2.0 * ((covariance.diagonal() - 1) ** 2).sum()
        torch.testing.assert_close(penalty.loss(term), by_hand)


def test_dip_ii_sees_correlation_within_a_posterior() -> None:
    """Of equal means and one full covariance: the aggregate posterior has just this one."""
    covariance = torch.tensor([[1.5, 0.6], [0.6, 0.7]]).double()
    posterior = MultivariateNormal(torch.zeros(1, 5, 2).double(), covariance)
    value = posterior.sample()
    term = LatentTerm(value, standard_normal(2)({}), Draw(value, posterior))
    by_hand = 2 * 0.6**2 + 10 * (0.5**2 + 0.3**2)
    torch.testing.assert_close(float(DipII(1.0, 10.0).loss(term)), by_hand)
    torch.testing.assert_close(float(DipI(1.0, 10.0).loss(term)), 20.0)


def test_dip_ii_sees_the_covariance_of_a_posterior_of_low_rank() -> None:
    posterior = LowRankNormal(2)(torch.randn(1, 3, LowRankNormal(2).width(Size((4,)))).double())
    drawn = posterior.rsample(Size((200_000,))).squeeze(1)
    by_draws = torch.stack([each.T.cov() for each in drawn.unbind(1)]).mean(0)
    torch.testing.assert_close(
        mean_covariance(posterior), by_draws, rtol=0.02, atol=0.02 * float(by_draws.diag().max())
    )


def test_dip_ii_refuses_a_posterior_whose_covariance_it_would_have_to_guess() -> None:
    posterior = VonMisesFisher()(torch.randn(1, 5, 4))
    value = posterior.rsample()
    with pytest.raises(UsageError, match="their covariance is not known"):
        DipII().loss(LatentTerm(value, standard_normal(3)({}), Draw(value, posterior)))


def test_a_negative_diagonal_is_refused() -> None:
    with pytest.raises(UsageError, match="diagonal's weight is -1"):
        DipI(diagonal=-1.0)


# Kernels


def by_pairs(a: Tensor, b: Tensor, kernel: Kernel) -> float:
    """The U-statistic, pair by pair."""

    def mean(pairs: list[tuple[Tensor, Tensor]]) -> float:
        return sum(float(kernel(p.unsqueeze(0), q.unsqueeze(0))) for p, q in pairs) / len(pairs)

    inner = [mean([(p, q) for i, p in enumerate(s) for j, q in enumerate(s) if i != j]) for s in (a, b)]
    return sum(inner) - 2 * mean([(p, q) for p in a for q in b])


@pytest.mark.parametrize("kernel", [GaussianKernel(), InverseMultiquadric()])
def test_the_estimate_is_the_mean_over_pairs(kernel: Kernel) -> None:
    a, b = torch.randn(4, 3).double(), 1 + torch.randn(5, 3).double()
    torch.testing.assert_close(float(mmd_squared(a, b, kernel)), by_pairs(a, b, kernel))


@pytest.mark.parametrize("kernel", [GaussianKernel(), InverseMultiquadric()])
def test_a_kernel_is_what_its_formula_says(kernel: Kernel) -> None:
    a, b = torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[0.0, 0.5]]).double()
    square, scales = 1.0 + 2.25, (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    formula = {
        GaussianKernel: sum(math.exp(-square / (2 * 2 * scale**2)) for scale in scales) / 7,
        InverseMultiquadric: sum(2 * 2 * scale / (2 * 2 * scale + square) for scale in scales) / 7,
    }
    torch.testing.assert_close(float(kernel(a, b)), formula[type(kernel)])


def test_it_is_unbiased_and_0_in_mean_for_equal_distributions() -> None:
    """For a - b ~ N(m, v), a Gaussian kernel of length 1 has the mean exp(-m^2 / 2(1 + v)) / sqrt(1 + v)."""
    kernel, draws, n = GaussianKernel((1.0,)), 4000, 5

    def exact(m: float, s: float) -> float:
        def mean(off: float, variance: float) -> float:
            return math.exp(-(off**2) / (2 * (1 + variance))) / math.sqrt(1 + variance)

        return mean(0, 2 * s**2) + mean(0, 2.0) - 2 * mean(m, 1 + s**2)

    for m, s in ((0.0, 1.0), (0.7, 1.0), (0.0, 2.0)):
        a, b = m + s * torch.randn(draws, n, 1).double(), torch.randn(draws, n, 1).double()
        assert_mean(mmd_squared(a, b, kernel), torch.tensor(exact(m, s)).double())


def test_the_penalty_is_0_in_mean_where_the_codes_are_the_prior() -> None:
    """And positive where they are not; several draws of one example are not taken for draws of several."""
    matched, apart = [], []
    for _ in range(300):
        loc, scale = 0.8 * torch.randn(8, 2).double(), torch.full((8, 2), 0.6).double()
        matched.append(Mmd().loss(term_of(loc, scale, samples=3)))
        apart.append(Mmd().loss(term_of(loc + 1, scale, samples=3)))
    assert_mean(torch.stack(matched), torch.zeros(()).double())
    assert float(torch.stack(apart).mean()) > 10 * float(stderr(torch.stack(apart)))
    assert float(Mmd().loss(term_of(torch.zeros(1, 2), torch.ones(1, 2))).isfinite())


@pytest.mark.parametrize("build", [lambda: GaussianKernel(()), lambda: InverseMultiquadric((1.0, 0.0))])
def test_a_kernel_without_scale_is_refused(build: Callable[[], Kernel]) -> None:
    with pytest.raises(UsageError, match="each positive"):
        build()


# Autoencoders


def autoencoder() -> VAE:
    decoder = Parametric(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), NormalFamily(Known(0.5)), "z")
    return VAE(decoder, z=Latent(standard_normal(2), Parametric(nn.Linear(3, 2), Delta(), "x"))).double()


def test_a_point_posterior_makes_an_autoencoder() -> None:
    """No noise, no entropy: the objective is the log-likelihood at the code, less the penalty."""
    model, x = autoencoder(), torch.randn(4, 3).double()
    code = model.parts["z"].posterior.params.net(x)  # type: ignore[union-attr]
    log_lik = model.likelihood({"z": code.unsqueeze(0)}).log_prob(x)[0]
    terms = Elbo(beta=0.0)(model, Batch(x), STEP)
    torch.testing.assert_close(terms.value, log_lik)
    assert not terms.kl
    with pytest.raises(UsageError, match="no ELBO: the posterior of 'z' is a point"):
        _ = terms.elbo
    for objective in (Elbo(), Elbo(beta=4.0), Elbo(beta=0.0)):
        assert not objective.bounds(model)
    with_norm = (Elbo(beta=0.0) + CodeNorm(3.0))(model, Batch(x), STEP)
    torch.testing.assert_close(with_norm.value, log_lik - 1.5 * code.square().sum(-1))


def test_the_gradient_penalty_is_the_norm_of_the_jacobian() -> None:
    """In mean over its random directions, without a bias; its gradient reaches encoder and decoder."""
    model, x = autoencoder(), torch.randn(2, 3).double()
    decoder = model.likelihood.params.net  # type: ignore[union-attr]
    code = model.parts["z"].posterior.params.net(x).detach()  # type: ignore[union-attr]
    exact = torch.stack([torch.autograd.functional.jacobian(decoder, z).square().sum() for z in code])
    draws = torch.stack([GradientPenalty(2.0)(model.trace(x), Batch(x), STEP).detach() for _ in range(3000)])
    assert_mean(draws, 2 * exact)
    GradientPenalty()(model.trace(x), Batch(x), STEP).sum().backward()
    weights = [weight for name, weight in model.named_parameters() if "weight" in name]
    assert all(weight.grad is not None and bool((weight.grad != 0).any()) for weight in weights)
    with torch.no_grad():
        assert GradientPenalty()(model.trace(x), Batch(x), STEP).isfinite().all()


def test_weight_decay_is_half_the_sum_of_the_decoders_squares() -> None:
    model, x = autoencoder(), torch.randn(4, 3).double()
    squares = sum(float(weight.detach().square().sum()) for weight in model.likelihood.parameters())
    loss = WeightDecay(0.3)(model.trace(x), Batch(x), STEP)
    torch.testing.assert_close(loss, torch.full((4,), 0.15 * squares).double())


def test_the_prior_over_weights_is_a_normals_and_shared_by_the_rows() -> None:
    """Its difference between two models is that of log N(w; 0, 1 / (precision fan_in)), over all N rows."""
    x, losses, logs = torch.randn(4, 3).double(), [], []
    for _ in range(2):
        model = autoencoder()
        losses.append(50 * WeightPrior(50, 0.3)(model.trace(x), Batch(x), STEP))
        layers = [part.weight.detach() for part in model.modules() if isinstance(part, nn.Linear)]
        assert len(layers) > 1
        logs.append(sum(float(Normal(0.0, (0.3 * w.shape[1]) ** -0.5).log_prob(w).sum()) for w in layers))
    torch.testing.assert_close(losses[0] - losses[1], torch.full((4,), logs[1] - logs[0]).double())


def test_a_prior_over_weights_is_shared_by_some_rows() -> None:
    with pytest.raises(UsageError, match="0 rows"):
        WeightPrior(0)
