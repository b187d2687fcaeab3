"""Relaxed discrete latents: their densities, what their draws stand for, and what is biased or no bound."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Size, Tensor, nn
from torch.distributions import RelaxedBernoulli, RelaxedOneHotCategorical, kl_divergence

from core.statistics import SIGMAS, assert_mean, stderr
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Family, Latent, Parametric
from vaekit.families import Bernoulli, Concrete, GumbelSoftmax, OneHot, SoftBits, SoftClasses, StraightThrough
from vaekit.families.relaxation import Temperature
from vaekit.objectives import Elbo, Linear, Step
from vaekit.priors import bits, classes, soft_bits, soft_classes

DRAWS = 40_000
temperatures = pytest.mark.parametrize("temperature", [0.3, 2 / 3, 1.0, 3.0])


def logits(*shape: int) -> Tensor:
    return torch.randn(1, 2, *shape).double()


def line(points: int = 4001, reach: float = 60.0) -> tuple[Tensor, float]:
    u = torch.linspace(-reach, reach, points, dtype=torch.float64)
    return u, float(u[1] - u[0])


@temperatures
def test_soft_bits_have_a_density_that_integrates_to_one_and_to_the_mean(temperature: float) -> None:
    q = Concrete(SoftBits(), temperature).double()(logits(1))
    u, spacing = line(reach=30.0)
    x = torch.sigmoid(u).reshape(-1, 1, 1)
    mass = q.log_prob(x).exp() * (x * (1 - x)).squeeze(-1) * spacing
    torch.testing.assert_close(mass.sum(0), torch.ones(2).double(), rtol=0, atol=1e-3)
    torch.testing.assert_close((mass * x.squeeze(-1)).sum(0), q.mean.flatten(), rtol=0, atol=1e-3)


@temperatures
def test_soft_classes_have_a_density_that_integrates_to_one_and_to_the_mean(temperature: float) -> None:
    """Over the simplex of three, by the log-odds of two of them to the third."""
    q = Concrete(SoftClasses(), temperature).double()(logits(3))
    u, spacing = line(601, reach=60.0 / max(temperature, 1.0) if temperature > 1 else 60.0)
    odds = torch.stack(torch.meshgrid(u, u, indexing="ij"), -1).reshape(-1, 2)
    x = torch.cat([odds, torch.zeros_like(odds[:, :1])], -1).softmax(-1).clamp(min=1e-300).unsqueeze(1)
    mass = q.log_prob(x).exp() * x.prod(-1) * spacing**2
    torch.testing.assert_close(mass.sum(0), torch.ones(2).double(), rtol=0, atol=1e-3)
    torch.testing.assert_close((mass.unsqueeze(-1) * x).sum(0), q.mean[0], rtol=0, atol=3e-3)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 2 / 3])
@pytest.mark.parametrize("logit", [-3.0, 0.0, 8.0, 12.0])
def test_with_the_mass_at_the_edges_soft_bits_in_float32_integrate_to_one(temperature: float, logit: float) -> None:
    q = Concrete(SoftBits(), temperature)(torch.full((1, 1, 1), logit))
    least = torch.finfo(torch.float32).eps
    u, spacing = line(20001, reach=15.9)
    x = torch.sigmoid(u).float().clamp(2 * least, 1 - 2 * least).reshape(-1, 1, 1)
    slope = (torch.sigmoid(u) * torch.sigmoid(-u)).reshape(-1, 1)
    within = float((q.log_prob(x).double().exp() * slope * spacing).sum())
    edges = q.log_prob(torch.tensor([least, 1 - least]).reshape(2, 1, 1)).exp().sum()
    assert within + float(edges) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("relaxation", [SoftBits(), SoftClasses()])
@pytest.mark.parametrize("temperature", [0.1, 2 / 3])
def test_in_float32_the_kl_of_the_surest_draws_never_falls_below_0(
    relaxation: SoftBits | SoftClasses, temperature: float
) -> None:
    """It rises with the logit as far as draws can tell, and stays there; clamped densities would fall without end."""
    event, prior = ((1,), soft_bits(1, 0.5)({})) if isinstance(relaxation, SoftBits) else ((3,), soft_classes(3)({}))
    found = list[float]()
    for logit in (2.0, 10.0, 50.0, 1000.0):
        at = torch.zeros(1, 1, *event)
        at[..., 0] = logit
        q = Concrete(relaxation, temperature)(at.expand(1, 20_000, *event))
        z = q.rsample()
        found.append(float((q.log_prob(z) - prior.log_prob(z)).mean()))
    assert all(later > before - 0.1 for before, later in itertools.pairwise(found))
    assert found[-1] > 4


def test_densities_with_mass_at_the_edge_are_those_of_the_same_values() -> None:
    """The mean of p / q over draws from q is 1 where q reaches all that p does: cold classes, many at the edge."""
    flat = torch.zeros(1, 1, 4)
    q = Concrete(SoftClasses(), 0.02)(flat.expand(1, DRAWS, 4))
    p = Concrete(SoftClasses(), 0.02)(torch.tensor([1.0, 0.0, -1.0, 0.5]).reshape(1, 1, 4).expand(1, DRAWS, 4))
    z = q.rsample()
    assert (z <= torch.finfo(torch.float32).tiny).any(-1).float().mean() > 0.2
    assert_mean((p.log_prob(z) - q.log_prob(z)).exp().flatten(), torch.tensor(1.0))


@temperatures
def test_they_are_those_of_torch(temperature: float) -> None:
    of_bits, of_classes = logits(3), logits(4)
    x = Concrete(SoftBits(), temperature).double()(of_bits).sample()
    theirs = RelaxedBernoulli(torch.tensor(temperature).double(), logits=of_bits)
    mine = Concrete(SoftBits(), temperature).double()(of_bits)
    torch.testing.assert_close(mine.log_prob(x), theirs.log_prob(x).sum(-1))
    y = Concrete(SoftClasses(), temperature).double()(of_classes).sample()
    their_classes = RelaxedOneHotCategorical(torch.tensor(temperature).double(), logits=of_classes)
    torch.testing.assert_close(
        Concrete(SoftClasses(), temperature).double()(of_classes).log_prob(y), their_classes.log_prob(y)
    )


@temperatures
@pytest.mark.parametrize("relaxation", [SoftBits(), SoftClasses()])
def test_draws_have_the_mean_and_the_density(temperature: float, relaxation: SoftBits | SoftClasses) -> None:
    """Reweighted to another temperature, which only the right density does, they have the mean of that one."""
    family, other = (Concrete(relaxation, at).double() for at in (temperature, 1.2 * temperature))
    params = logits(3)
    x = family(params).sample(Size((DRAWS,)))
    assert_mean(x.flatten(1), family(params).mean.flatten(), slack=3e-3)
    weight = (other(params).log_prob(x) - family(params).log_prob(x)).exp()
    assert_mean(weight.flatten(1), torch.ones(2).double())
    assert_mean((weight.unsqueeze(-1) * x).flatten(1), other(params).mean.flatten(), slack=3e-3)


@temperatures
def test_the_discrete_value_nearest_to_a_soft_draw_is_a_draw_of_the_discrete_family(temperature: float) -> None:
    for relaxation, params in ((SoftBits(), logits(3)), (SoftClasses(), logits(4)), (SoftClasses(2), logits(4, 3))):
        soft = Concrete(relaxation, temperature).double()(params).sample(Size((DRAWS,)))
        assert_mean(relaxation.harden(soft).flatten(1), relaxation.family(params).mean.flatten())


@pytest.mark.parametrize("relaxation", [SoftBits(), SoftClasses()])
def test_the_gradient_of_soft_draws_is_that_of_their_mean(relaxation: SoftBits | SoftClasses) -> None:
    """By common noise: the derivative of the mean over fixed points of noise."""
    family, params = Concrete(relaxation, 0.7).double(), logits(3)[:, :1].requires_grad_()
    (family(params).mean * torch.arange(3)).sum().backward()
    many = params.detach().expand(DRAWS, 1, 3).clone().requires_grad_()
    (family(many).rsample() * torch.arange(3)).sum().backward()
    assert params.grad is not None
    assert many.grad is not None
    assert_mean(many.grad.squeeze(1), params.grad.flatten(), slack=3e-3)


@pytest.mark.parametrize("relaxation", [SoftBits(), SoftClasses()])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_in_float32_cold_draws_and_their_gradients_are_finite(
    relaxation: SoftBits | SoftClasses, temperature: float
) -> None:
    family = Concrete(relaxation, temperature)
    params = (20 * torch.randn(1, 5000, 10)).requires_grad_()
    x = family(params).rsample()
    assert ((x > 0) & (x < 1 + 1e-6)).all()
    log_prob = family(params).log_prob(x)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert params.grad is not None
    assert params.grad.isfinite().all()


FAMILIES: list[tuple[Family, Family]] = [
    (StraightThrough(Bernoulli()), Bernoulli()),
    (StraightThrough(OneHot()), OneHot()),
    (GumbelSoftmax(SoftBits(), 0.5), Bernoulli()),
    (GumbelSoftmax(SoftClasses(), 0.5), OneHot()),
    (GumbelSoftmax(SoftClasses(), 0.5, hard=True), OneHot()),
]
every_surrogate = pytest.mark.parametrize(("family", "exact"), FAMILIES)


@every_surrogate
def test_all_but_the_gradient_of_a_surrogate_is_that_of_the_discrete_family(family: Family, exact: Family) -> None:
    params = logits(4)
    q, p = family.double()(params), exact(params)
    x = p.sample()
    torch.testing.assert_close(q.log_prob(x), p.log_prob(x))
    torch.testing.assert_close(q.mean, p.mean)
    assert_mean(q.sample(Size((DRAWS,))).flatten(1), p.mean.flatten())
    prior = (bits if isinstance(exact, Bernoulli) else classes)(4).double()({})
    torch.testing.assert_close(kl_divergence(q, prior), kl_divergence(p, prior))
    draws = p.sample(Size((DRAWS,)))
    assert_mean(p.log_prob(draws) - prior.log_prob(draws), kl_divergence(q, prior), slack=1e-9)


@every_surrogate
def test_draws_of_a_surrogate_are_discrete_where_no_gradient_is_asked_for(family: Family, exact: Family) -> None:
    with torch.no_grad():
        x = family.double()(logits(4)).rsample()
    assert exact.support.check(x).all()


@pytest.mark.parametrize(("family", "exact"), [FAMILIES[i] for i in (0, 1, 4)])
def test_straight_through_draws_are_discrete_and_have_a_gradient(family: Family, exact: Family) -> None:
    params = logits(4).requires_grad_()
    x = family.double()(params).rsample()
    assert exact.support.check(x).all()
    (x * torch.arange(4)).sum().backward()
    assert params.grad is not None
    assert (params.grad != 0).any()


def test_the_gradient_of_a_straight_through_draw_is_that_of_the_probabilities() -> None:
    params = logits(5)
    one, two = params.clone().requires_grad_(), params.clone().requires_grad_()
    (StraightThrough(Bernoulli())(one).rsample() * torch.arange(5)).sum().backward()
    (Bernoulli()(two).mean * torch.arange(5)).sum().backward()
    assert one.grad is not None
    torch.testing.assert_close(one.grad, two.grad)


@pytest.mark.parametrize("family", [StraightThrough(Bernoulli()), GumbelSoftmax(SoftBits(), 1.0)])
def test_the_gradient_of_a_surrogate_is_biased_as_it_says(family: Family) -> None:
    """E (b - t)^3 has the derivative p (1 - p) ((1 - t)^3 + t^3), which the surrogate's mean misses by far."""
    assert family.biased
    target, params = 0.2, torch.full((DRAWS, 1, 1), 0.4, requires_grad=True)
    (family(params).rsample() - target).pow(3).sum().backward()
    p = float(torch.sigmoid(torch.tensor(0.4)))
    exact = p * (1 - p) * ((1 - target) ** 3 + target**3)
    assert params.grad is not None
    assert abs(float(params.grad.mean()) - exact) > SIGMAS * float(stderr(params.grad))


def test_a_soft_draw_has_no_probability_under_the_classes() -> None:
    q = GumbelSoftmax(SoftClasses())(logits(4).requires_grad_())
    with pytest.raises(UsageError, match="no probability"):
        q.log_prob(q.rsample())


class Table(nn.Module):
    """log-odds of x for each vertex, with a bend between them, so that soft draws are not what they stand for."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, z: Tensor) -> Tensor:
        return (z**3).flatten(1) @ self.weight


def tiny(family: Family, relaxed_prior: Callable[[int], object] = classes) -> tuple[VAE, Tensor, Tensor]:
    """A model of one latent of 3 classes, its exact ELBO of a row, and the row."""
    encoder = Parametric(nn.Linear(4, 3).double(), family, given="x")
    weight, x = torch.randn(3, 4).double(), torch.tensor([[1.0, 0.0, 1.0, 1.0]]).double()
    decoder = Parametric(Table(weight), Bernoulli(), given="z")
    model = VAE(decoder, z=Latent(classes(3).double(), encoder)).double()
    log_q = model.parts["z"].posterior.params({"x": x.unsqueeze(0)}).flatten().log_softmax(-1)
    log_lik = Bernoulli()(weight.unsqueeze(1)).log_prob(x).flatten()
    elbo = (log_q.exp() * (log_lik - log_q - torch.log(torch.tensor(3.0)))).sum()
    return model, elbo.detach(), x


def test_a_gumbel_softmax_elbo_is_exact_without_a_gradient_and_no_bound_with_one() -> None:
    model, exact, x = tiny(GumbelSoftmax(SoftClasses(), 1.0))
    assert not Elbo().bounds(model)
    many = Batch(x.expand(DRAWS, -1))
    with torch.no_grad():
        assert_mean(Elbo()(model, many, Step.first()).value, exact)
    soft = Elbo()(model, many, Step.first()).value.detach()
    assert abs(float(soft.mean() - exact)) > SIGMAS * float(stderr(soft))


@pytest.mark.parametrize("family", [StraightThrough(OneHot()), GumbelSoftmax(SoftClasses(), 1.0, hard=True)])
def test_a_straight_through_elbo_is_exact_with_a_gradient_too(family: Family) -> None:
    model, exact, x = tiny(family)
    assert Elbo().bounds(model)
    assert_mean(Elbo()(model, Batch(x.expand(DRAWS, -1)), Step.first()).value.detach(), exact)


@pytest.mark.parametrize(
    ("family", "prior"), [(Concrete(SoftBits()), soft_bits), (Concrete(SoftClasses()), soft_classes)]
)
def test_a_concrete_elbo_is_a_bound_of_the_soft_models_evidence(
    family: Concrete, prior: Callable[[int], nn.Module]
) -> None:
    decoder = Parametric(nn.Linear(3, 4).double(), Bernoulli(), given="z")
    encoder = Parametric(nn.Linear(4, 3).double(), family.double(), given="x")
    model = VAE(decoder, z=Latent(prior(3).double(), encoder))  # type: ignore[arg-type]
    x = torch.tensor([[1.0, 0.0, 1.0, 1.0]]).double()
    with torch.no_grad():
        weights = model.trace(x, samples=DRAWS).log_weight
        evidence = model.sample(DRAWS).likelihood.log_prob(x).exp().flatten()
    assert_mean(weights.exp().flatten(), evidence.mean(), slack=SIGMAS * float(stderr(evidence)))
    assert float(weights.mean()) < float(evidence.mean().log())


def test_a_temperature_counts_the_steps_of_training_and_is_saved() -> None:
    temperature = Temperature(Linear(1.0, 0.5, steps=4))
    seen = [float(temperature()) for _ in range(6)]
    assert seen == [1.0, 0.875, 0.75, 0.625, 0.5, 0.5]
    other = Temperature(Linear(1.0, 0.5, steps=4))
    other.load_state_dict({"steps": torch.tensor(2.0)})
    assert float(other.eval()()) == 0.75
    with torch.no_grad():
        assert [float(other.train()()) for _ in range(3)] == [0.75] * 3


def test_what_makes_no_temperature_is_refused() -> None:
    with pytest.raises(UsageError, match="temperature of 0"):
        Concrete(SoftBits(), 0.0)
    for start, end in ((0.0, 1.0), (1.0, -0.5)):
        with pytest.raises(UsageError, match="must be positive"):
            GumbelSoftmax(SoftBits(), Linear(start, end, 100))
