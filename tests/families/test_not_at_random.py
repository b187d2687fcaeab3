"""Missing not at random: the bound against quadrature, and what it learns that MIWAE cannot."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Size, Tensor, nn
from torch.distributions import Normal as NormalDistribution
from torch.nn.functional import logsigmoid

from core.statistics import assert_mean, stderr
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Family, Latent, Parametric
from vaekit.families import Bernoulli, Known, Learned, Normal
from vaekit.families.columns import Marginal
from vaekit.families.missing import Observed
from vaekit.families.not_at_random import SOON, STEEP, ByNet, Missingness, NotAtRandom, SelfMasking, SelfMaskingOneWay
from vaekit.nets import MLP
from vaekit.nets.holes import HolesSeen
from vaekit.objectives import Iwae, Step
from vaekit.priors import standard_normal
from vaekit.recipes import build
from vaekit.recipes.forms import ArrayForm, TableForm
from vaekit.uses.complete import complete
from vaekit.uses.completion.draws import MetropolisWithinGibbs, Resampling, draw_completions

W, B, NOISE = torch.tensor([1.0, -0.8]).double(), torch.tensor([0.3, 0.5]).double(), 0.6
SLOPE, OFFSET = torch.tensor([0.0, 2.0]).double(), torch.tensor([-9.0, -0.5]).double()


def self_masking(slope: Tensor = SLOPE, offset: Tensor = OFFSET) -> SelfMasking:
    mechanism = SelfMasking(slope.shape).double()
    mechanism.slope.data.copy_(slope / SOON)
    mechanism.offset.data.copy_(offset)
    return mechanism


def decoder(family: Family, weight: Tensor = W, bias: Tensor = B) -> Parametric:
    net = nn.Linear(1, len(weight)).double()
    net.weight.data.copy_(weight.unsqueeze(1))
    net.bias.data.copy_(bias)
    return Parametric(net, family, "z")


class Rough(nn.Module):
    """An encoder that is not right."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([0.4 * x.nan_to_num(0.0)[:, 0], torch.zeros(len(x)).to(x)], 1)


def model_of(likelihood: NotAtRandom | Parametric) -> VAE:
    return VAE(likelihood, z=Latent(standard_normal(1), Parametric(Rough(), Normal(), "x"))).double()


def toy() -> VAE:
    return model_of(NotAtRandom(decoder(Observed(Normal(Known(NOISE)))), self_masking()))


GRID = torch.linspace(-8, 8, 2001).double()


def exact_by_grid(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x_1, s), E[x_2 | x_1, s] and E[x_2^2 | x_1, s] of rows whose second cell is missing, `(n,)` each."""
    z, mis = GRID.reshape(-1, 1), GRID.reshape(1, -1) * 1.2
    given_z = NormalDistribution(W[1] * z + B[1], NOISE).log_prob(mis) + logsigmoid(OFFSET[1] + SLOPE[1] * mis)
    observed = NormalDistribution(W[0] * z + B[0], NOISE).log_prob(x[:, 0].reshape(-1, 1, 1))
    unmasked = logsigmoid(-(OFFSET[0] + SLOPE[0] * x[:, 0])).reshape(-1, 1, 1)
    log_joint = NormalDistribution(0.0, 1.0).log_prob(z) + given_z + observed + unmasked
    step = math.log(float(GRID[1] - GRID[0])) * 2 + math.log(1.2)
    mass = log_joint.flatten(1).softmax(1).unflatten(1, log_joint.shape[1:])
    moments = [(mass * mis**power).sum((1, 2)) for power in (1, 2)]
    return log_joint.flatten(1).logsumexp(1) + step, moments[0], moments[1]


@pytest.fixture(scope="module")
def rows() -> Tensor:
    return torch.tensor([[-1.5, torch.nan], [0.2, torch.nan], [1.7, torch.nan]]).double()


def test_the_bound_lies_below_the_evidence_and_rises_to_it_with_its_samples(rows: Tensor) -> None:
    exact, model = exact_by_grid(rows)[0], toy()
    with torch.no_grad():
        draws = {
            samples: torch.stack([Iwae(samples)(model, Batch(rows), Step.first()).value for _ in range(300)])
            for samples in (1, 5, 50)
        }
        many = torch.stack([Iwae(20_000)(model, Batch(rows), Step.first()).value for _ in range(20)])
    means = [value.mean(0) for value in draws.values()]
    errors = [stderr(value) for value in draws.values()]
    assert (means[0] < means[1] - 3 * errors[1]).all()
    assert (means[1] < means[2] - 3 * errors[2]).all()
    assert (means[2] < exact + 5 * errors[2]).all()
    assert_mean(many, exact, slack=1e-3)


def test_its_gradient_goes_through_the_missing_values(rows: Tensor) -> None:
    """Of many samples it is that of the exact evidence, by differences of the quadrature in the decoder's bias."""
    model = toy()
    bias = model.likelihood.likelihood.params.net.bias
    found = []
    for _ in range(30):
        model.zero_grad()
        Iwae(5000)(model, Batch(rows), Step.first()).value.sum().backward()
        found.append(bias.grad.clone())
    step, before = 1e-4, B.clone()
    slopes = []
    for place in range(2):
        ends = []
        for sign in (1, -1):
            B[place] = before[place] + sign * step
            ends.append(exact_by_grid(rows)[0].sum())
            B.copy_(before)
        slopes.append((ends[0] - ends[1]) / (2 * step))
    assert_mean(torch.stack(found), torch.stack(slopes), slack=5e-3)


def test_draws_without_a_path_have_the_gradient_too() -> None:
    """Two bits, the second missing: all is a sum over z by quadrature and over the bit by hand."""
    x = torch.tensor([[1.0, torch.nan], [0.0, torch.nan]]).double()
    net = decoder(Observed(Bernoulli()))
    model = model_of(NotAtRandom(net, self_masking()))
    weights = [net.params.net.weight, net.params.net.bias]
    found = []
    for _ in range(30):
        model.zero_grad()
        Iwae(5000)(model, Batch(x), Step.first()).value.sum().backward()
        found.append(torch.cat([weight.grad.flatten() for weight in weights]))
    z = GRID.reshape(-1, 1)
    logits = net.params.net(z)
    log_x = logsigmoid(logits[:, :1] * (2 * x[:, 0] - 1)) + logsigmoid(-(OFFSET[0] + SLOPE[0] * x[:, 0]))
    mechanism = torch.sigmoid(OFFSET[1] + SLOPE[1] * torch.tensor([0.0, 1.0]).double())
    chance = torch.sigmoid(logits[:, 1:])
    log_s = (chance * mechanism[1] + (1 - chance) * mechanism[0]).log()
    log_joint = NormalDistribution(0.0, 1.0).log_prob(z) + log_x + log_s
    exact = torch.autograd.grad(log_joint.logsumexp(0).sum(), weights)
    assert_mean(torch.stack(found), torch.cat([each.flatten() for each in exact]), slack=5e-3)


def test_completions_weigh_with_what_made_the_holes(rows: Tensor) -> None:
    _, mean, second = exact_by_grid(rows)
    model = toy()
    found = torch.stack([complete(model, Batch(rows), 4000, seed, encode=lambda x: x).x for seed in range(30)])
    assert_mean(found[:, :, 1], mean, slack=3e-3)
    at_random = model_of(decoder(Observed(Normal(Known(NOISE)))))
    assert (complete(at_random, Batch(rows), 4000, encode=lambda x: x).x[:, 1] < mean - 0.1).all()
    many = rows.repeat_interleave(1500, 0)
    for how, samples in ((Resampling(), 1500), (MetropolisWithinGibbs(60), 3)):
        drawn = draw_completions(model, Batch(many), 1, samples, how=how, encode=lambda x: x).x[0, :, 1]
        by_row = drawn.reshape(3, 1500).T
        assert_mean(by_row, mean)
        assert_mean(by_row.square(), second)


@pytest.mark.parametrize(
    "mechanism",
    [
        SelfMasking((3,), centre=torch.tensor([1.0, 2.0, 3.0]), spread=2.0),
        SelfMaskingOneWay((3,), towards=-1),
        ByNet(nn.Linear(3, 3)),
        ByNet(MLP([(6,)], (3,), (5,)), HolesSeen()),
    ],
)
def test_each_mechanism_is_a_distribution_of_holes(mechanism: Missingness) -> None:
    """Over all eight patterns of holes the probabilities of a complete row add up to 1."""
    mechanism = mechanism.double()
    for weight in mechanism.parameters():
        weight.data.normal_()
    likelihood = NotAtRandom(decoder(Observed(Normal(Known())), torch.ones(3), torch.zeros(3)), mechanism)
    said = likelihood({"z": torch.zeros(1, 1, 1).double()})
    x = torch.randn(1, 8, 3).double()[:, :1].expand(1, 8, 3)
    patterns = torch.cartesian_prod(*[torch.tensor([False, True])] * 3).unsqueeze(0)
    torch.testing.assert_close(said.log_missing(x, patterns).exp().sum(), torch.ones(()).double())


@pytest.mark.parametrize("towards", [1, -1])
def test_a_curve_that_goes_one_way_never_turns_however_it_learns(towards: int) -> None:
    mechanism = SelfMaskingOneWay((2,), towards)
    learned = torch.tensor([-3.0, 2.0])
    mechanism.slope.data = (learned - STEEP) / SOON
    low, high = mechanism(torch.zeros(1, 2)), mechanism(torch.ones(1, 2))
    expected = towards * learned.exp().log1p()
    torch.testing.assert_close((high - low)[0], expected)


def test_a_way_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="1 if high values"):
        SelfMaskingOneWay((2,), 0)


def test_images_may_be_masked_by_themselves() -> None:
    net = nn.Sequential(nn.Linear(1, 16), nn.Unflatten(1, (1, 4, 4)))
    likelihood = NotAtRandom(Parametric(net, Observed(Bernoulli()), "z"), SelfMasking((1, 4, 4)))
    x = torch.rand(5, 1, 4, 4).round()
    x[:, :, 2:] = torch.nan
    found = likelihood({"z": torch.zeros(3, 1, 1)}).log_prob(x.unsqueeze(0))
    assert found.shape == (3, 5)
    assert found.isfinite().all()


@pytest.mark.parametrize("missingness", ["self_masking", "high_missing", "low_missing", "linear", "general"])
def test_tables_of_mixed_columns_have_each_mechanism(missingness: str) -> None:
    """Completed cells are values of their columns, and it learns: the bound rises."""
    columns = (Marginal("normal", shape=(40.0, 10.0), holes=True), Marginal("categorical", 3, (0.2, 0.3, 0.5)))
    model, objective = build("not_miwae", TableForm(columns), latent=2, missingness=missingness, samples=5)
    x = torch.stack([40 + 10 * torch.randn(100), torch.randint(0, 3, (100,)).float()], 1)
    x[x[:, 1] == 2, 0] = torch.nan
    x[::7, 1] = torch.nan
    adam, values = torch.optim.Adam(model.parameters(), 5e-3), []
    for step in range(60):
        adam.zero_grad()
        value = objective(model, Batch(x), Step(torch.tensor(step))).value.mean()
        (-value).backward()
        adam.step()
        values.append(float(value.detach()))
    assert sum(values[-10:]) > sum(values[:10]) + 1
    found = complete(model, Batch(x), 20).x
    assert set(found[:, 1].tolist()) <= {0.0, 1.0, 2.0}
    assert found.isfinite().all()


def test_not_miwae_finds_the_mean_that_miwae_misses() -> None:
    """High values of the second column hide themselves; it hangs on the first one, which is seen throughout."""
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(2000, 1, generator=draw)
    full = z @ torch.tensor([[1.0, 1.0, 1.0]]) + 0.5 * torch.randn(2000, 3, generator=draw)
    x = full.clone()
    hidden = torch.rand(2000, generator=draw) < torch.sigmoid(4 * full[:, 2])
    x[hidden, 2] = torch.nan
    truth = float(full[:, 2].mean())
    means = {kind: mean_learned(x, kind) for kind in (False, True)}
    assert abs(means[True] - truth) < 0.5 * abs(means[False] - truth)
    assert means[False] < truth - 0.1


def test_the_recipes_nets_level_off_where_nothing_was_seen() -> None:
    """Decoders that go on straight put what nobody has seen anywhere; another activation can be asked for."""
    far = {"z": torch.tensor([1e6, 1e7]).reshape(2, 1, 1)}
    table = ArrayForm((3,), holes=True)
    means = [
        build("not_miwae", table, latent=1, likelihood="normal", **asked).model.likelihood(far).mean
        for asked in ({}, {"activation": "relu"})
    ]
    torch.testing.assert_close(means[0][0], means[0][1])
    assert (means[1][0] - means[1][1]).abs().min() > 1
    assert build("not_miwae", table, net="gated", hidden=(8,)).model.trace(torch.rand(2, 3)).log_weight.isfinite().all()


def mean_learned(x: Tensor, not_at_random: bool) -> float:
    """The mean of the last column completed, after training from scratch."""
    torch.manual_seed(1)
    cells = Parametric(nn.Linear(1, 3), Observed(Normal(Learned())), "z")
    likelihood = NotAtRandom(cells, SelfMasking((3,))) if not_at_random else cells
    encoder = Parametric(nn.Sequential(HolesSeen(), MLP([(6,)], (2,), (16,))), Normal(), "x")
    model = VAE(likelihood, z=Latent(standard_normal(1), encoder))
    adam, objective = torch.optim.Adam(model.parameters(), 2e-2), Iwae(10)
    for step in range(500):
        batch = Batch(x[torch.randint(0, len(x), (200,))])
        adam.zero_grad()
        (-objective(model, batch, Step(torch.tensor(step))).value.mean()).backward()
        adam.step()
    return float(complete(model, Batch(x), 200).x[:, 2].mean())


def test_the_width_of_its_parameters_is_that_of_the_family_it_observes() -> None:
    assert Observed(Normal()).width(Size((3,))) == 6
