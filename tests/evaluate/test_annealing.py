"""Annealing, against a log p(x) that is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Exponential, Gamma, Independent, LogNormal, MultivariateNormal, Normal

from core.linear_gaussian import LinearGaussian, TwoLevels
from core.statistics import SIGMAS, assert_moments, stderr
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Conditional, Context, Fixed, Latent, Parametric
from vaekit.evaluate import Annealing, FromPosterior, FromPrior, annealed, bracket, log_evidence, reverse_annealed
from vaekit.evaluate.chains import Chains
from vaekit.evaluate.hamiltonian import hamiltonian_move
from vaekit.families import Beta, Dequantised, Known
from vaekit.families import Normal as NormalFamily
from vaekit.priors import dirichlet, gamma, soft_bits, sphere_uniform, standard_normal

STARTS = pytest.mark.parametrize("start", [FromPrior, FromPosterior])
QUICK = Annealing(chains=4, temperatures=6, leapfrogs=3)


@pytest.fixture
def truth() -> LinearGaussian:
    return LinearGaussian.random()


@pytest.fixture
def model(truth: LinearGaussian) -> VAE:
    return truth.model(truth.inexact.normal("x"))


def correlated_normal() -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """A log-density, not normalised, with its mean and covariance."""
    mean, root = torch.tensor([1.0, -2.0]).double(), torch.tensor([[1.0, 0.0], [0.8, 0.5]]).double()
    precision = torch.linalg.inv(root @ root.T)
    return lambda u: -0.5 * ((u - mean) @ precision * (u - mean)).sum(1), mean, root @ root.T


def test_moves_leave_a_density_as_it_is() -> None:
    log_density, mean, covariance = correlated_normal()
    at = mean + torch.randn(20_000, 2).double() @ torch.linalg.cholesky(covariance).T
    for _ in range(3):
        move = hamiltonian_move(log_density, at, torch.full((len(at),), 0.55).double(), 4)
        at = move.position
    assert 0.8 < float(move.acceptance.mean()) < 0.98
    assert_moments(at, mean, covariance)


def test_moves_find_a_density_from_afar() -> None:
    log_density, mean, covariance = correlated_normal()
    at = torch.zeros(20_000, 2).double()
    for _ in range(40):
        at = hamiltonian_move(log_density, at, torch.full((len(at),), 0.4).double(), 5).position
    assert_moments(at, mean, covariance)


def test_a_path_that_leaves_the_density_is_rejected() -> None:
    at = torch.zeros(50, 1)
    move = hamiltonian_move(lambda u: torch.log(1 - u.square()).sum(1), at, torch.full((50,), 30.0), 2)
    assert torch.equal(move.position, at)
    assert (move.acceptance == 0).all()


@STARTS
def test_its_weights_have_the_evidence_as_their_mean(truth: LinearGaussian, model: VAE, start: type) -> None:
    """Unbiased at any number of temperatures: not even a coarse path is off, on average."""
    x = truth.evidence.sample((1,))
    how = Annealing(chains=8000, temperatures=5, leapfrogs=2, start=start)
    found = annealed(model, x, how).evidence
    assert 0.005 < float(found.stderr) < 0.1
    assert abs(float(found.log_evidence - truth.evidence.log_prob(x))) <= SIGMAS * float(found.stderr)


@STARTS
def test_reversed_weights_have_the_inverse_evidence_as_their_mean(
    truth: LinearGaussian, model: VAE, start: type
) -> None:
    x = truth.evidence.sample((1,)).repeat(8000, 1)
    z = truth.exact.at(x).sample()
    how = Annealing(chains=1, temperatures=5, leapfrogs=2, start=start)
    found = reverse_annealed(model, x, {"z": z}, how).evidence.log_evidence
    inverse = (truth.evidence.log_prob(x) - found).exp()
    assert float(inverse.std()) > 0.1
    assert abs(float(inverse.mean()) - 1) <= SIGMAS * float(stderr(inverse))


@STARTS
def test_one_temperature_is_plain_importance_sampling_from_the_start(
    truth: LinearGaussian, model: VAE, start: type
) -> None:
    x = truth.evidence.sample((1,))
    found = annealed(model, x, Annealing(chains=20_000, temperatures=1, start=start))
    assert abs(float(found.evidence.log_evidence - truth.evidence.log_prob(x))) <= SIGMAS * float(found.evidence.stderr)
    assert found.acceptance.isnan().all()


@STARTS
def test_the_bracket_holds_the_truth_and_is_narrow(truth: LinearGaussian, model: VAE, start: type) -> None:
    found = bracket(model, 20, Annealing(chains=8, temperatures=100, leapfrogs=6, start=start))
    exact = truth.evidence.log_prob(found.x)
    below, above = found.lower.evidence, found.upper.evidence
    assert below.mean <= float(exact.mean()) + SIGMAS * below.mean_stderr
    assert above.mean >= float(exact.mean()) - SIGMAS * above.mean_stderr
    assert found.gap.value + SIGMAS * found.gap.stderr >= 0
    assert found.gap.value < 1
    assert above.mean - float(exact.mean()) < 0.5
    assert float(exact.mean()) - below.mean < 0.5


def test_more_temperatures_bring_the_bounds_together(model: VAE) -> None:
    few, some, many = (
        bracket(model, 60, Annealing(chains=2, temperatures=steps, leapfrogs=5)).gap for steps in (3, 12, 48)
    )
    assert few.value > some.value > 2 * many.value > 0


def test_the_bracket_is_of_data_that_the_model_made(truth: LinearGaussian, model: VAE) -> None:
    assert_moments(
        bracket(model, 4000, Annealing(chains=1, temperatures=1)).x,
        truth.evidence.mean,
        truth.evidence.covariance_matrix,
    )


@pytest.mark.parametrize(("start", "temperatures"), [(FromPrior, 80), (FromPosterior, 5)])
def test_a_hierarchy_is_annealed_as_a_whole(start: type, temperatures: int) -> None:
    truth = TwoLevels.random()
    model = truth.exact_top_down()
    found = bracket(model, 12, Annealing(chains=6, temperatures=temperatures, leapfrogs=6, start=start))
    exact = truth.evidence.log_prob(found.x).mean()
    assert found.lower.evidence.mean <= float(exact) + SIGMAS * found.lower.evidence.mean_stderr + 1e-9
    assert found.upper.evidence.mean >= float(exact) - SIGMAS * found.upper.evidence.mean_stderr - 1e-9
    assert found.gap.value < 1


def test_from_the_exact_posterior_every_weight_is_the_evidence() -> None:
    truth = TwoLevels.random()
    x = truth.evidence.sample((5,))
    for model in (truth.exact_top_down(), truth.exact_bottom_up()):
        found = annealed(model, x, Annealing(chains=3, temperatures=4, start=FromPosterior)).evidence
        torch.testing.assert_close(found.log_evidence, truth.evidence.log_prob(x), rtol=0, atol=1e-9)


class OverPositive(Conditional):
    """A crude q(z | x) of a positive latent."""

    given = ("x",)

    def forward(self, context: Context) -> Distribution:
        x = context["x"]
        return Independent(LogNormal(0.3 * x.clamp(-1, 2), torch.full_like(x, 0.8), validate_args=False), 1)


def quadrature(prior: Distribution, x: Tensor, noise: float) -> Tensor:
    """log of the integral of p(z) N(x; z, noise^2) over positive z, `(n,)`."""
    z = torch.linspace(1e-4, 30, 300_001).double()
    log_joint = prior.log_prob(z) + Normal(z, noise).log_prob(x)
    return log_joint.logsumexp(1) + math.log(float(z[1] - z[0]))


def identity_of(latent: str, noise: float) -> Parametric:
    return Parametric(nn.Identity(), NormalFamily(Known(noise)), latent)


@STARTS
@pytest.mark.parametrize(
    ("make", "params"), [(Exponential, {"rate": 0.7}), (Gamma, {"concentration": 2.5, "rate": 1.3})]
)
def test_latents_that_are_not_free_are_moved_through_a_chart(
    make: type[Distribution], params: dict[str, float], start: type
) -> None:
    tensors = {name: torch.tensor([value]).double() for name, value in params.items()}
    model = VAE(identity_of("z", 0.5), z=Latent(Fixed(make, **tensors), OverPositive())).double()
    x = torch.tensor([[-0.5], [0.4], [1.0], [3.0]]).double()
    exact = quadrature(make(**{name: float(value) for name, value in tensors.items()}), x, 0.5)
    found = annealed(model, x, Annealing(chains=400, temperatures=20, leapfrogs=3, start=start)).evidence
    assert (found.stderr < 0.3).all()
    assert ((found.log_evidence - exact).abs() <= SIGMAS * found.stderr + 1e-3).all()


@pytest.mark.parametrize("prior", [sphere_uniform, dirichlet, gamma, soft_bits])
@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_directions_and_proportions_at_each_position_have_their_chart(
    prior: Callable[[tuple[int, ...]], Conditional], shape: tuple[int, ...]
) -> None:
    """Against importance sampling from the prior, which in few dimensions is exact enough."""
    latents, event = prior(shape), math.prod(shape)
    decoder = Parametric(nn.Sequential(nn.Flatten(), nn.Linear(event, 4)), NormalFamily(Known(0.6)), "z")
    model = VAE(decoder, z=Latent(latents, latents))
    with torch.no_grad():
        decoder.params.net[1].weight.mul_(2)  # type: ignore[index]
        x = model.sample(6).draw()
    plain = log_evidence(model, x, 40_000)
    found = annealed(model, x, Annealing(chains=100, temperatures=30, leapfrogs=3)).evidence
    error = (found.stderr.square() + plain.stderr.square()).sqrt()
    assert (error < 0.3).all()
    assert ((found.log_evidence - plain.log_evidence).abs() <= SIGMAS * error).all()


def test_conditions_and_known_latents_stay_what_they_are() -> None:
    """With z2 known, z1 alone is annealed: log p(x, z2)."""
    truth = TwoLevels.random()
    model = truth.exact_top_down()
    z2, lower = torch.randn(6, 2).double(), truth.lower
    mean = z2 @ truth.upper.W.T + truth.upper.b
    noise = truth.upper.s**2 * lower.W @ lower.W.T + lower.s**2 * torch.eye(4).double()
    given_z2 = MultivariateNormal(mean @ lower.W.T + lower.b, noise)
    x = given_z2.sample()
    exact = given_z2.log_prob(x) + Normal(0.0, 1.0).log_prob(z2).sum(1)
    found = annealed(model, x, Annealing(chains=400, temperatures=50, leapfrogs=4), given={"z2": z2}).evidence
    assert (found.stderr < 0.3).all()
    assert ((found.log_evidence - exact).abs() <= SIGMAS * found.stderr).all()


@pytest.mark.parametrize("values_at_once", [1, 40, 2**20])
def test_chunks_change_only_the_draws(truth: LinearGaussian, model: VAE, values_at_once: int) -> None:
    x = truth.evidence.sample((5,))
    how = Annealing(chains=300, temperatures=8, leapfrogs=3, values_at_once=values_at_once)
    found = annealed(model, x, how)
    assert found.evidence.samples == 300
    assert found.acceptance.shape == (5,)
    assert ((found.evidence.log_evidence - truth.evidence.log_prob(x)).abs() <= SIGMAS * found.evidence.stderr).all()


def test_step_sizes_are_learned_for_each_row_and_temperature(truth: LinearGaussian, model: VAE) -> None:
    """Rows of the same model, some with a far narrower posterior."""
    how = Annealing(chains=16, temperatures=80, leapfrogs=4)
    chains = Chains(model, truth.evidence.sample((8,)), how, {})
    with torch.no_grad():
        sizes = chains.step_sizes
        acceptances, u = [], chains.started()
        for step, size in enumerate(sizes, start=1):
            u, acceptance = chains.moved(u, step, size)
            acceptances.append(acceptance)
    assert sizes.shape == (79, 8)
    assert (sizes[-1] < sizes[0]).all()
    assert torch.stack(acceptances)[40:].mean() == pytest.approx(how.acceptance, abs=0.08)


def test_it_is_above_the_importance_sampling_of_a_poor_encoder(truth: LinearGaussian) -> None:
    poor = truth.inexact
    model = truth.model(type(poor)(0 * poor.A, poor.b + 3, 0.3 * poor.L).normal("x"))
    x = truth.evidence.sample((10,))
    exact = truth.evidence.log_prob(x).mean()
    plain = log_evidence(model, x, 2000).mean
    found = annealed(model, x, Annealing(chains=8, temperatures=100, leapfrogs=6)).evidence.mean
    assert plain < float(exact) - 2
    assert found == pytest.approx(float(exact), abs=0.3)


@pytest.fixture
def counted() -> Iterator[VAE]:
    model = VAE(identity_of("z", 1.0), z=Latent(standard_normal(1), OverPositive()))
    yield model
    assert all(parameter.grad is None for parameter in model.parameters())


def test_it_leaves_the_model_and_its_mode_alone(counted: VAE) -> None:
    counted.train()
    bracket(counted, 3, QUICK)
    assert counted.training


def test_runs_in_single_precision_and_repeats_by_the_generator(counted: VAE) -> None:
    x = torch.randn(3, 1)
    torch.manual_seed(3)
    first = annealed(counted, x, QUICK).evidence.log_evidence
    torch.manual_seed(3)
    assert torch.equal(annealed(counted, x, QUICK).evidence.log_evidence, first)
    assert first.dtype == torch.float64


def test_discrete_latents_are_refused_until_they_are_given() -> None:
    bits = Fixed(torch.distributions.Bernoulli, probs=torch.full((2,), 0.25))
    model = VAE(identity_of("z", 1.0), z=Latent(bits, bits))
    x = torch.zeros(4, 2)
    with pytest.raises(UsageError, match="'z' has no gradient"):
        annealed(model, x, QUICK)
    with pytest.raises(UsageError, match="no latent is left"):
        annealed(model, x, QUICK, given={"z": torch.zeros(4, 2)})


def test_a_density_that_is_drawn_anew_whenever_it_is_asked_for_is_refused() -> None:
    """Chains would follow the noise, and be off by the mean of log p in place of log p, however many temperatures."""
    levels = Parametric(nn.Linear(2, 6), Dequantised(Beta()), given="z")
    model = VAE(levels, z=Latent(standard_normal(2), standard_normal(2)))
    x = torch.zeros(4, 3)
    assert log_evidence(model, x, samples=5).log_evidence.isfinite().all()
    with pytest.raises(UsageError, match="under Dequantised, whose density is drawn anew"):
        annealed(model, x, QUICK)
    with pytest.raises(UsageError, match="under Dequantised, whose density is drawn anew"):
        bracket(model, 4, QUICK)


@pytest.mark.parametrize("wrong", [{"chains": 0}, {"temperatures": 0}, {"leapfrogs": 0}, {"acceptance": 1.0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Annealing(**wrong)  # type: ignore[arg-type]


def test_no_rows_are_refused(model: VAE) -> None:
    with pytest.raises(UsageError, match="no rows"):
        annealed(model, torch.zeros(0, 4).double(), QUICK)
    with pytest.raises(UsageError, match="at least 1"):
        bracket(model, 0, QUICK)
