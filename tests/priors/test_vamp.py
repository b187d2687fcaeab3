from __future__ import annotations

import copy

import pytest
import torch
from torch import Size, Tensor, nn
from torch.distributions import constraints
from torch.optim.swa_utils import AveragedModel

from families.held_to_account import assert_draws_follow_the_density, assert_mean_is_right, assert_sums_to_one
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Deterministic, Latent, Parametric
from vaekit.core.meeting import introduce
from vaekit.families import Bernoulli, FullNormal, Normal
from vaekit.flows import Flow, iaf
from vaekit.objectives import Elbo, Step
from vaekit.priors import VampPrior, standard_normal
from vaekit.priors.ranges import Anything, NonNegative, UnitInterval, range_of
from vaekit.priors.vamp import waiting_vamp

DATA, K = 6, 7


def encoder_of(latent: int, family: Normal | FullNormal | None = None) -> Parametric:
    family = family or Normal()
    return Parametric(nn.Linear(DATA, family.width(Size((latent,)))), family, given="x").double()


def vamp(latent: int = 2) -> VampPrior:
    return VampPrior(encoder_of(latent), torch.rand(K, DATA).double())


def model_with(prior: VampPrior, encoder: nn.Module) -> VAE:
    assert isinstance(encoder, Parametric)
    return VAE(Parametric(nn.Linear(2, DATA), Bernoulli(), "z"), z=Latent(prior, encoder)).double()


@pytest.mark.parametrize("family", [Normal(), FullNormal()], ids=["independent", "full"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_it_is_a_density_that_its_draws_follow(family: Normal | FullNormal, dimensions: int) -> None:
    prior = VampPrior(encoder_of(dimensions, family), torch.rand(K, DATA).double())({})
    assert_sums_to_one(prior, dimensions)
    assert_mean_is_right(prior, dimensions)
    assert_draws_follow_the_density(prior, dimensions)


def test_it_is_the_mixture_of_posteriors_written_by_hand() -> None:
    encoder, inputs = encoder_of(2), torch.rand(K, DATA).double()
    z = torch.randn(5, 3, 2).double()
    loc, raw = (inputs @ encoder.params.net.weight.T + encoder.params.net.bias).chunk(2, dim=1)
    scale = torch.nn.functional.softplus(raw + torch.tensor(1 - 1e-6).double().expm1().log()) + 1e-6
    each = [torch.distributions.Normal(m, s).log_prob(z).sum(-1) for m, s in zip(loc, scale, strict=True)]
    expected = torch.stack(each).logsumexp(0) - torch.tensor(float(K)).double().log()
    torch.testing.assert_close(VampPrior(encoder, inputs)({}).log_prob(z), expected, rtol=0, atol=1e-7)


def test_the_encoder_learns_from_the_prior_too() -> None:
    encoder = encoder_of(2)
    prior = VampPrior(encoder, torch.rand(K, DATA).double())
    prior({}).log_prob(torch.randn(4, 3, 2).double()).sum().backward()
    for parameter in (prior.raw, *encoder.parameters()):
        assert parameter.grad is not None
        assert (parameter.grad != 0).all()


def test_the_encoder_is_counted_and_saved_once() -> None:
    encoder = encoder_of(2)
    model = model_with(VampPrior(encoder, torch.rand(K, DATA)), encoder)
    names = list(model.state_dict())
    assert len([name for name in names if name.endswith("net.weight")]) == 2
    assert [name for name in names if ".prior." in name] == ["parts.z.prior.raw", "parts.z.prior.waiting"]
    assert len({id(parameter) for parameter in model.parameters()}) == len(list(model.parameters()))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: AveragedModel(model).module], ids=["copy", "average"])
def test_a_copy_of_the_model_reads_its_own_encoder(copied: type[VAE]) -> None:
    encoder = encoder_of(2)
    model = model_with(VampPrior(encoder, torch.rand(K, DATA)), encoder)
    twin = copied(model)
    z = torch.randn(3, 1, 2).double()
    before = model.parts["z"].prior({}).log_prob(z)
    with torch.no_grad():
        for parameter in twin.parts["z"].posterior.parameters():
            parameter.add_(1.0)
    assert torch.equal(model.parts["z"].prior({}).log_prob(z), before)
    assert not torch.equal(twin.parts["z"].prior({}).log_prob(z), before)


def test_it_moves_with_the_model() -> None:
    encoder = encoder_of(2).float()
    model = VAE(
        Parametric(nn.Linear(2, DATA), Bernoulli(), "z"), z=Latent(VampPrior(encoder, torch.rand(K, DATA)), encoder)
    )
    assert model.double().sample(3).latent("z").dtype == torch.float64


def test_weights_of_a_model_are_taken_up() -> None:
    models = [
        model_with(VampPrior(encoder, torch.rand(K, DATA)), encoder) for encoder in (encoder_of(2), encoder_of(2))
    ]
    models[1].load_state_dict(models[0].state_dict())
    z = torch.randn(3, 1, 2).double()
    densities = [model.parts["z"].prior({}).log_prob(z) for model in models]
    assert torch.equal(*densities)


def test_a_conditional_encoder_makes_a_conditional_prior() -> None:
    """p(z | c) mixes q(z | u, c): each row of conditions is held against the mixture written by hand."""
    encoder = Parametric(nn.Bilinear(DATA, 3, 4), Normal(), given=("x", "c")).double()
    prior = VampPrior(encoder, torch.rand(K, DATA).double())
    assert prior.given == ("c",)
    for samples in (1, 5):
        c = torch.randn(samples, 4, 3).double()
        z = torch.randn(5, 4, 2).double()
        found = prior({"c": c}).log_prob(z)
        for s in range(5):
            for b in range(4):
                condition = c[s % samples, b].expand(1, K, 3)
                each = encoder({"x": prior.pseudo_inputs[None], "c": condition})
                expected = each.log_prob(z[s, b].expand(1, K, 2)).logsumexp(1) - torch.tensor(float(K)).log()
                torch.testing.assert_close(found[s, b], expected[0], rtol=0, atol=1e-6)
        draws = prior({"c": c}).expand(Size((5, 4))).sample()
        assert draws.shape == (5, 4, 2)
        assert prior({"c": c}).mean.shape == (samples, 4, 2)


def test_a_conditional_prior_draws_under_its_own_condition() -> None:
    encoder = Parametric(nn.Bilinear(DATA, 1, 2), Normal(), given=("x", "c")).double()
    prior = VampPrior(encoder, torch.rand(K, DATA).double())
    distribution = prior({"c": torch.tensor([[[-30.0], [30.0]]]).double()})
    draws = distribution.expand(Size((4000, 2))).sample()
    error = 5 * distribution.variance.sqrt() / 4000**0.5
    assert ((draws.mean(0) - distribution.mean[0]).abs() < error[0]).all()


def test_what_lies_between_x_and_the_encoder_is_given_as_nodes() -> None:
    node = Deterministic(nn.Linear(DATA, 5).double(), "x")
    encoder = Parametric(nn.Linear(5, 4).double(), Normal(), given="h")
    prior = VampPrior(encoder, torch.rand(K, DATA).double(), nodes={"h": node})
    model = VAE(Parametric(nn.Linear(2, DATA), Bernoulli(), "z"), h=node, z=Latent(prior, encoder)).double()
    assert prior.given == ()
    assert model.trace(torch.rand(3, DATA).double(), samples=2).log_weight.shape == (2, 3)
    with pytest.raises(UsageError, match="reads h, not x"):
        VampPrior(encoder, torch.rand(K, DATA))


def test_a_flow_posterior_makes_a_vamp_prior() -> None:
    encoder = Flow(encoder_of(2), iaf(2, DATA).double(), given="x")
    prior = VampPrior(encoder, torch.rand(K, DATA).double())
    assert prior({}).expand(Size((5, 3))).sample().shape == (5, 3, 2)
    assert prior({}).log_prob(torch.randn(5, 3, 2).double()).shape == (5, 3)


def test_it_trains_by_any_objective() -> None:
    encoder = encoder_of(2)
    model = model_with(VampPrior(encoder, torch.rand(K, DATA)), encoder)
    terms = Elbo(samples=3)(model, Batch(torch.rand(4, DATA).double()), Step.first())
    assert terms.value.shape == (4,)


def test_training_rows_are_taken_once_and_only_where_that_was_asked_for() -> None:
    encoder = encoder_of(2).float()
    rows = torch.rand(50, DATA)
    asked = waiting_vamp(encoder, K, Size((DATA,)), constraints.unit_interval)
    given = VampPrior(encoder, torch.full((K, DATA), 0.5), UnitInterval())
    for prior in (asked, given):
        introduce(prior, rows)
    nearest = torch.cdist(asked.pseudo_inputs, rows.clamp(0.05, 0.95)).min(1).values
    assert (nearest < 0.05).all()
    assert (torch.pdist(asked.pseudo_inputs) > 0.05).all()
    torch.testing.assert_close(given.pseudo_inputs, torch.full((K, DATA), 0.5))
    kept = asked.pseudo_inputs.clone()
    twin = waiting_vamp(encoder, K, Size((DATA,)), constraints.unit_interval)
    twin.load_state_dict(asked.state_dict())
    for prior in (asked, twin):
        introduce(prior, torch.rand(50, DATA))
        assert torch.equal(prior.pseudo_inputs, kept)


@pytest.mark.parametrize(
    ("support", "expected"),
    [
        (constraints.real, Anything),
        (constraints.real_vector, Anything),
        (None, Anything),
        (constraints.positive, NonNegative),
        (constraints.nonnegative_integer, NonNegative),
        (constraints.unit_interval, UnitInterval),
        (constraints.boolean, UnitInterval),
    ],
)
def test_pseudo_inputs_stay_in_the_datas_range(support: constraints.Constraint | None, expected: type) -> None:
    within = range_of(support, Size((3,)))
    assert type(within) is expected
    if support is not None and not support.is_discrete:
        assert support.check(within.inside(torch.randn(50, 3) * 10)).all()


@pytest.mark.parametrize("within", [Anything(), NonNegative(), UnitInterval()], ids=lambda value: type(value).__name__)
def test_a_range_and_back(within: Anything | NonNegative | UnitInterval) -> None:
    value = torch.tensor([0.06, 0.3, 0.9]).double()
    torch.testing.assert_close(within.inside(within.raw(value)), value, rtol=0, atol=1e-12)
    edge = within.raw(torch.tensor([0.0, 1.0])).requires_grad_()
    within.inside(edge).sum().backward()
    assert edge.grad is not None
    assert (edge.grad > 0.04).all()


def test_no_pseudo_inputs_are_refused() -> None:
    with pytest.raises(UsageError, match="0 pseudo-inputs"):
        VampPrior(encoder_of(2), torch.rand(0, DATA))


def test_a_prior_that_would_read_what_is_inferred_is_refused() -> None:
    """An encoder that reads another latent makes a prior that does: in this order there is no way to generate."""
    encoder = Parametric(nn.Bilinear(DATA, 2, 4), Normal(), given=("x", "w"))
    decoder = Parametric(nn.Linear(2, DATA), Bernoulli(), given="z")
    below = Parametric(nn.Linear(2, 4), Normal(), given="z")
    inferred = Parametric(nn.Linear(DATA, 4), Normal(), given="x")
    with pytest.raises(UsageError, match="wait for each other"):
        VAE(decoder, z=Latent(VampPrior(encoder, torch.rand(K, DATA)), encoder), w=Latent(below, inferred))


def test_it_survives_under_a_second_latent() -> None:
    """HVAE with the VampPrior on top."""
    top = encoder_of(2)
    below = Parametric(nn.Bilinear(DATA, 2, 4), Normal(), given=("x", "z2")).double()
    between = Parametric(nn.Linear(2, 4), Normal(), given="z2").double()
    decoder = Parametric(nn.Linear(2, DATA), Bernoulli(), given="z1").double()
    prior = VampPrior(top, torch.rand(K, DATA).double())
    model = VAE(decoder, z2=Latent(prior, top), z1=Latent(between, below))
    x: Tensor = torch.rand(3, DATA).double()
    assert model.trace(x, samples=2).log_weight.shape == (2, 3)
    assert model.sample(4).draw().shape == (4, DATA)


def test_the_standard_normal_is_another() -> None:
    """A check of the check: the two priors differ where the posteriors do not cover the standard normal."""
    z = torch.full((1, 1, 2), 3.0).double()
    assert ((vamp()({}).log_prob(z) - standard_normal(2).double()({}).log_prob(z)).abs() > 0.1).all()
