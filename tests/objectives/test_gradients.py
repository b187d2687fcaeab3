"""Gradient estimators: unbiased, of less variance, and right for every way in which a model can be wired."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily, OneHotCategorical

from core.linear_gaussian import LinearGaussian, TwoLevels
from core.statistics import SIGMAS, stderr
from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import (
    VAE,
    Batch,
    Conditional,
    Context,
    Deterministic,
    Fixed,
    Latent,
    Parametric,
    PrecisionWeighted,
)
from vaekit.families import Concrete, Known, Normal, SoftBits
from vaekit.objectives import (
    Ciwae,
    CodeNorm,
    DoublyReparameterised,
    Elbo,
    EncoderFollows,
    Enumerate,
    Gradient,
    Iwae,
    LeaveOneOut,
    Linear,
    Miwae,
    Objective,
    Pathwise,
    Piwae,
    PowerMean,
    Renyi,
    Step,
    StickTheLanding,
    Weighted,
)
from vaekit.priors import soft_bits, standard_normal
from vaekit.recipes import build

X = torch.tensor([[0.5, -1.0, 2.0]]).double()


def normal(inputs: int, outputs: int, given: str | tuple[str, ...], hidden: int = 0) -> Parametric:
    layers = [nn.Linear(inputs, hidden), nn.Tanh()] if hidden else []
    return Parametric(nn.Sequential(*layers, nn.Linear(hidden or inputs, 2 * outputs)), Normal(), given)


class Joined(nn.Module):
    """A linear map of its inputs, joined."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        joined: Tensor = self.linear(torch.cat(inputs, dim=-1))
        return joined


class Vamp(Conditional):
    """A prior that is the encoder's mixture over pseudo-inputs, and refers to it."""

    def __init__(self, encoder: Conditional) -> None:
        super().__init__()
        self.pseudo = nn.Parameter(torch.randn(3, 3))
        self._encoder = (encoder,)

    def forward(self, context: Context) -> Distribution:
        parts = self._encoder[0]({"x": self.pseudo.unsqueeze(0)}).base_dist  # type: ignore[attr-defined]
        parts = torch.distributions.Independent(torch.distributions.Normal(parts.loc[0], parts.scale[0]), 1)
        return MixtureSameFamily(Categorical(logits=torch.zeros(3).to(self.pseudo)), parts, validate_args=False)


def likelihood(latents: int, given: str = "z") -> Parametric:
    return Parametric(nn.Linear(latents, 3), Normal(Known(0.8)), given)


def one_latent() -> VAE:
    return VAE(likelihood(2), z=Latent(standard_normal(2), normal(3, 2, "x", hidden=3)))


def two_latents() -> VAE:
    """The path from z2 to the bound goes through z1 too, by the posterior as by the prior."""
    prior = normal(2, 2, "z2", hidden=3)
    lower = Parametric(Joined(5, 4), Normal(), ("x", "z2"))
    return VAE(likelihood(2, "z1"), z2=Latent(standard_normal(2), normal(3, 2, "x")), z1=Latent(prior, lower))


def bottom_up() -> VAE:
    """z1 is drawn before z2, and z2's prior is at the top."""
    return VAE(
        likelihood(2, "z1"),
        z2=Latent(standard_normal(2), normal(2, 2, "z1")),
        z1=Latent(normal(2, 2, "z2"), normal(3, 2, "x")),
    )


def shared_features() -> VAE:
    """Inference through a feature, and a state of the ladder that both sides read."""
    return VAE(
        Parametric(Joined(5, 3), Normal(Known(0.8)), ("z1", "state")),
        h=Deterministic(nn.Sequential(nn.Linear(3, 3), nn.Tanh()), "x"),
        z2=Latent(standard_normal(2), normal(3, 2, "h")),
        state=Deterministic(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), "z2"),
        z1=Latent(normal(3, 2, "state"), Parametric(Joined(6, 4), Normal(), ("h", "state"))),
    )


def merged() -> VAE:
    """A posterior that refers to the prior's parameters."""
    prior = normal(2, 2, "z2", hidden=3)
    return VAE(
        likelihood(2, "z1"),
        z2=Latent(standard_normal(2), normal(3, 2, "x")),
        z1=Latent(prior, PrecisionWeighted(normal(3, 2, "x"), prior)),
    )


def vamp() -> VAE:
    """A prior that refers to the posterior's parameters."""
    encoder = normal(3, 2, "x", hidden=3)
    return VAE(likelihood(2), z=Latent(Vamp(encoder), encoder))


MODELS = {make.__name__: make for make in (one_latent, two_latents, bottom_up, shared_features, merged, vamp)}
BATCHES, ROWS = 60, 300


def gradients(model: VAE, objective: Objective, batches: int = BATCHES) -> Tensor:
    """The gradient by all parameters from batches of draws for the same x: (batch of draws, parameter)."""
    found = []
    for _ in range(batches):
        value = objective(model, Batch(X.expand(ROWS, 3)), Step.first()).value.mean()
        found.append(torch.cat([part.flatten() for part in torch.autograd.grad(value, list(model.parameters()))]))
    return torch.stack(found)


def made(make: Callable[[], VAE]) -> VAE:
    with seeded(7):
        return make().double()


def assert_alike(one: Tensor, other: Tensor) -> None:
    """Two sets of draws have the same mean within five standard errors of its difference."""
    error = (stderr(one).square() + stderr(other).square()).sqrt()
    off = (one.mean(0) - other.mean(0)).abs()
    assert (off <= SIGMAS * error + 1e-12).all(), f"{float((off / error).max()):.1f} standard errors"


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_doubly_reparameterised_is_unbiased(make: Callable[[], VAE]) -> None:
    model = made(make)
    plain, doubly = gradients(model, Iwae(5)), gradients(model, Iwae(5, DoublyReparameterised()))
    assert plain.mean(0).abs().max() > SIGMAS * stderr(plain).max()
    assert_alike(plain, doubly)


@pytest.mark.parametrize("samples", [2, 16])
def test_doubly_reparameterised_varies_less(samples: int) -> None:
    """Near a good posterior the encoder's gradient has less noise, the more so the better the posterior."""
    truth = LinearGaussian(torch.tensor([[1.0, 0.4], [-0.7, 0.9], [0.2, -1.1]]).double(), torch.zeros(3).double(), 0.8)
    model = truth.model(truth.inexact.normal("x"))
    encoder = sum(weight.numel() for weight in model.parts.parameters())
    plain, doubly = (
        gradients(model, Iwae(samples, gradient), 20)[:, :encoder] for gradient in (Pathwise(), DoublyReparameterised())
    )
    assert_alike(plain, doubly)
    assert doubly.var(0).sum() < 0.7 * plain.var(0).sum()


BOUNDS: dict[str, Callable[[Gradient | None], Objective]] = {
    "miwae": lambda gradient: Miwae(3, 2, gradient),
    "ciwae": lambda gradient: Ciwae(5, 0.4, gradient),
    "renyi": lambda gradient: Renyi(0.5, 5, gradient),
    "renyi below 0": lambda gradient: Renyi(-0.7, 5, gradient),
    "elbo": lambda gradient: Renyi(1.0, 5, gradient),
}


@pytest.mark.parametrize("build", BOUNDS.values(), ids=BOUNDS)
def test_doubly_reparameterised_is_unbiased_for_every_bound(build: Callable[[Gradient | None], Objective]) -> None:
    model = made(two_latents)
    assert_alike(gradients(model, build(None)), gradients(model, build(DoublyReparameterised())))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_sticking_the_landing_is_unbiased_for_the_elbo(make: Callable[[], VAE]) -> None:
    model = made(make)
    elbo = PowerMean(4, power=0.0)
    assert_alike(gradients(model, Weighted(elbo)), gradients(model, Weighted(elbo, StickTheLanding())))


def test_for_the_elbo_both_estimators_are_one() -> None:
    model, found = made(shared_features), []
    for gradient in (StickTheLanding(), DoublyReparameterised()):
        with seeded(1):
            found.append(gradients(model, Weighted(PowerMean(4, power=0.0), gradient), batches=1))
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


def test_sticking_the_landing_is_biased_for_several_draws() -> None:
    """What its docstring warns of is there to be seen: by this the comparisons above can tell right from wrong."""
    model = made(one_latent)
    with pytest.raises(AssertionError, match="standard errors"):
        assert_alike(gradients(model, Iwae(5)), gradients(model, Iwae(5, StickTheLanding())))


@pytest.mark.parametrize("samples", [1, 6])
@pytest.mark.parametrize("gradient", [StickTheLanding(), DoublyReparameterised()])
def test_at_the_exact_posterior_nothing_is_left_but_the_model(gradient: Gradient, samples: int) -> None:
    """Every log-weight is log p(x), so the encoder's gradient is exactly 0, draw by draw."""
    truth = LinearGaussian.random()
    model, x = truth.model(truth.exact.full_normal("x")), truth.evidence.sample((5,))
    encoder = list(model.parts.parameters())
    terms = Iwae(samples, gradient)(model, Batch(x), Step.first())
    for part in torch.autograd.grad(terms.value.sum(), encoder, retain_graph=True):
        torch.testing.assert_close(part, torch.zeros_like(part), rtol=0, atol=1e-9)
    pathwise = Iwae(samples)(model, Batch(x), Step.first())
    assert max(float(part.abs().max()) for part in torch.autograd.grad(pathwise.value.sum(), encoder)) > 0.01


@pytest.mark.parametrize("build", [TwoLevels.exact_bottom_up, TwoLevels.exact_top_down])
def test_at_exact_posteriors_of_a_hierarchy_nothing_is_left_either(build: Callable[[TwoLevels], VAE]) -> None:
    truth = TwoLevels.random()
    model, x = build(truth), truth.evidence.sample((5,))
    posteriors = [weight for _, latent in model.latents() for weight in latent.posterior.parameters()]
    value = Iwae(4, DoublyReparameterised())(model, Batch(x), Step.first()).value.sum()
    for part in torch.autograd.grad(value, posteriors):
        torch.testing.assert_close(part, torch.zeros_like(part), rtol=0, atol=1e-9)


@pytest.mark.parametrize("make", [one_latent, two_latents, shared_features])
def test_piwae_trains_the_encoder_by_miwae_and_the_rest_by_iwae(make: Callable[[], VAE]) -> None:
    """Parameter by parameter, in the same draws; what both sides read gets a gradient from both."""
    model = made(make)
    encoder = {weight for _, latent in model.latents() for weight in latent.posterior.parameters()}
    if "h" in model.parts:
        encoder |= set(model.parts["h"].parameters())
    state = set(model.parts["state"].parameters()) if "state" in model.parts else set()
    found = []
    for objective in (Piwae(3, 4), Iwae(12), Miwae(3, 4)):
        with seeded(1):
            value = objective(model, Batch(X.expand(4, 3)), Step.first()).value.mean()
            found.append(torch.autograd.grad(value, list(model.parameters())))
    for weight, piwae, iwae, miwae in zip(model.parameters(), *found, strict=True):
        if weight not in state:
            torch.testing.assert_close(piwae, miwae if weight in encoder else iwae, rtol=0, atol=1e-12)


def test_an_encoder_that_follows_the_same_bound_changes_nothing() -> None:
    model, found = made(shared_features), []
    for gradient in (Pathwise(), EncoderFollows(PowerMean(6))):
        with seeded(1):
            found.append(gradients(model, Iwae(6, gradient), batches=1))
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gradient", [Pathwise(), StickTheLanding(), DoublyReparameterised()])
def test_a_clamped_latent_is_left_alone(gradient: Gradient) -> None:
    """With z2 known there is one latent: its gradient is unbiased still, and z2's posterior gets none."""
    model = made(two_latents)
    batch = Batch(X.expand(3, 3), {"z2": torch.ones(3, 2).double()})
    Iwae(4, gradient)(model, batch, Step.first()).value.sum().backward()
    above, below = (model.parts[name].posterior for name in ("z2", "z1"))
    assert all(weight.grad is None for weight in above.parameters())  # type: ignore[union-attr]
    assert all(weight.grad is not None for weight in below.parameters())  # type: ignore[union-attr]


def discrete() -> VAE:
    class Classes(Conditional):
        given = ("x",)

        def forward(self, context: Context) -> Distribution:
            return OneHotCategorical(logits=context["x"][..., :2], validate_args=False)

    prior = Fixed(OneHotCategorical, logits=torch.zeros(2))
    return VAE(likelihood(2, "y"), y=Latent(prior, Classes())).double()


@pytest.mark.parametrize(
    "gradient", [Pathwise(), StickTheLanding(), DoublyReparameterised(), EncoderFollows(PowerMean(3))]
)
def test_a_posterior_without_a_path_is_refused_by_name(gradient: Gradient) -> None:
    objective = Iwae(3, gradient)
    with pytest.raises(UsageError, match=rf"Iwae.*{type(gradient).__name__}.* draws of 'y'.*OneHotCategorical"):
        objective(discrete(), Batch(X), Step.first())
    with torch.no_grad():
        assert objective(discrete(), Batch(X), Step.first()).value.isfinite().all()


@pytest.mark.parametrize("objective", [Elbo(), Iwae(3), Iwae(3, DoublyReparameterised()), Elbo() + CodeNorm()])
def test_a_posterior_without_a_path_is_refused_before_anything_is_drawn(objective: Objective) -> None:
    """But not where the latent is summed out, or drawn pathwise, or learnt without a path."""
    with pytest.raises(UsageError, match=r"needs a gradient through the draws of 'z', and a Bernoulli.* has none"):
        objective.check(build("bernoulli_vae", (6,), latent=2).model)
    with pytest.raises(UsageError, match=r"Iwae.*DoublyReparameterised.*'z'"):
        build("dreg", (6,), latent=2, posterior="bernoulli", prior="bits")
    objective.check(build("vae", (6,), latent=2).model)
    Enumerate("y", Iwae(3, DoublyReparameterised())).check(build("m2", (6,), latent=2).model)
    Iwae(3, LeaveOneOut()).check(build("bernoulli_vae", (6,), latent=2).model)


@pytest.mark.parametrize(
    "gradient", [Pathwise(), StickTheLanding(), DoublyReparameterised(), EncoderFollows(PowerMean(5))]
)
@pytest.mark.parametrize("with_penalty", [False, True])
def test_the_decoder_runs_once_for_all_draws(gradient: Gradient, with_penalty: bool) -> None:
    """The dearest part of a step is not repeated, whatever the estimator, nor for a penalty on the codes."""
    model, runs = made(two_latents), []
    model.likelihood.register_forward_hook(lambda *_: runs.append(1))
    objective: Objective = Iwae(5, gradient) + CodeNorm(latent="z1") if with_penalty else Iwae(5, gradient)
    objective(model, Batch(X.expand(4, 3)), Step.first()).value.sum().backward()
    assert len(runs) == 1


@pytest.mark.parametrize("make", [one_latent, two_latents, shared_features])
@pytest.mark.parametrize("gradient", [Pathwise(), StickTheLanding(), DoublyReparameterised()])
def test_an_encoder_that_reads_x_alone_runs_once(make: Callable[[], VAE], gradient: Gradient) -> None:
    """Only a posterior that reads another draw is asked again, for the path through that draw."""
    model, runs = made(make), []
    first = next(latent for _, latent in model.latents()).posterior
    first.register_forward_hook(lambda *_: runs.append(1))
    Iwae(5, gradient)(model, Batch(X.expand(4, 3)), Step.first()).value.sum().backward()
    assert len(runs) == 1


@pytest.mark.parametrize("gradient", [Pathwise(), StickTheLanding(), DoublyReparameterised()])
def test_what_an_encoder_learns_by_being_run_it_learns_once(gradient: Gradient) -> None:
    """A temperature that counts steps, the running mean of a batch normalisation, and the mask of a dropout."""
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3, momentum=1.0), nn.Linear(3, 2)).double()
    family = Concrete(SoftBits(), Linear(1.0, 0.5, 10))
    decoder = Parametric(nn.Linear(2, 3).double(), Normal(Known(0.8)), "z")
    model = VAE(decoder, z=Latent(soft_bits(2).double(), Parametric(net, family, "x"))).double().train()
    x = torch.randn(6, 3).double()
    with seeded(2):
        plain = Weighted(PowerMean(3))(model, Batch(x), Step.first()).value
    with seeded(2):
        again = Weighted(PowerMean(3), gradient)(copy_of_start(model, family), Batch(x), Step.first()).value
    torch.testing.assert_close(again, plain)
    assert float(family.temperature.steps) == 1
    assert float(net[1].num_batches_tracked) == 2  # type: ignore[arg-type]


def copy_of_start(model: VAE, family: Concrete) -> VAE:
    """The same model, its temperature as it was before it was first run."""
    family.temperature.steps.zero_()
    return model


@pytest.mark.parametrize("gradient", [StickTheLanding(), DoublyReparameterised()])
def test_a_posterior_that_would_not_be_the_same_again_is_refused(gradient: Gradient) -> None:
    model = made(two_latents).train()
    lower = model.parts["z1"].posterior.params  # type: ignore[union-attr]
    lower.net = WithDropout(lower.net)
    with pytest.raises(UsageError, match="posterior of 'z1' again, as it reads another draw, and a Dropout"):
        Iwae(4, gradient)(model, Batch(X), Step.first())
    Iwae(4)(model, Batch(X), Step.first())
    Iwae(4, gradient)(model.eval(), Batch(X), Step.first())


class WithDropout(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.dropout = net, nn.Dropout(0.5)

    def forward(self, *inputs: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(self.net(*inputs))
        return dropped


def test_running_means_of_a_posterior_that_is_asked_again_move_once() -> None:
    model = made(two_latents).train()
    lower = model.parts["z1"].posterior.params  # type: ignore[union-attr]
    norm = nn.BatchNorm1d(4).double()
    lower.net = Normalised(lower.net, norm)
    Iwae(4, DoublyReparameterised())(model, Batch(torch.randn(6, 3).double()), Step.first()).value.sum().backward()
    assert float(norm.num_batches_tracked) == 1  # type: ignore[arg-type]


class Normalised(nn.Module):
    def __init__(self, net: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.net, self.norm = net, norm

    def forward(self, *inputs: Tensor) -> Tensor:
        normalised: Tensor = self.norm(self.net(*inputs))
        return normalised


def test_a_penalty_beside_a_doubly_reparameterised_bound_keeps_its_own_gradient() -> None:
    """The gradient of the sum is the sum of the gradients: the bound's scaling of paths does not reach the penalty."""
    model, penalty = made(two_latents), CodeNorm(3.0, latent="z2")
    batch, found = Batch(X.expand(4, 3)), []
    bound = Iwae(5, DoublyReparameterised())
    for value in (
        lambda trace: (bound + penalty).of(trace, batch, Step.first()).value,
        lambda trace: bound.of(trace, batch, Step.first()).value,
        lambda trace: -penalty(trace, batch, Step.first()),
    ):
        with seeded(4):
            trace = model.trace(batch.x, 5)
        slopes = torch.autograd.grad(
            value(trace).sum(), list(model.parameters()), materialize_grads=True, allow_unused=True
        )
        found.append(torch.cat([slope.flatten() for slope in slopes]))
    torch.testing.assert_close(found[0], found[1] + found[2], rtol=0, atol=1e-12)
