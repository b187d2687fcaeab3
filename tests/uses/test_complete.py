"""Completion against conditionals that are known exactly, whatever the encoder."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Size, Tensor, nn
from torch.distributions import Normal as NormalDistribution

from core.linear_gaussian import LinearGaussian, LinearNormal
from core.statistics import assert_mean, assert_moments
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Family, Latent, Parametric
from vaekit.families import Bernoulli, Categorical, Normal
from vaekit.families.columns import Columns, Marginal
from vaekit.families.missing import Observed
from vaekit.priors import standard_normal
from vaekit.recipes import build
from vaekit.uses.complete import Completion, Mean, Median, Mode, Quantile, Summary, complete
from vaekit.uses.completion.chains import Moments, shrink_factor
from vaekit.uses.completion.draws import MetropolisWithinGibbs, Resampling, draw_completions
from vaekit.uses.completion.summaries import half_sample_mode, quantiles

OBSERVED, MISSING = [0, 2], [1, 3]


def asis(x: Tensor) -> Tensor:
    return x


def conditional(truth: LinearGaussian, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (n, 2) and covariance of the missing coordinates given the observed ones."""
    mean, cov = truth.evidence.mean, truth.evidence.covariance_matrix
    gain = cov[MISSING][:, OBSERVED] @ torch.linalg.inv(cov[OBSERVED][:, OBSERVED])
    off = x[:, OBSERVED] - mean[OBSERVED]
    return mean[MISSING] + off @ gain.T, cov[MISSING][:, MISSING] - gain @ cov[OBSERVED][:, MISSING]


def holed(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, MISSING] = torch.nan
    return x


def wrong(truth: LinearGaussian) -> VAE:
    """An encoder that is off in its mean, and does not know how the coordinates of the posterior hang together."""
    return truth.model(truth.inexact.normal("x"))


def narrow(truth: LinearGaussian) -> VAE:
    """One that is off and too sure of itself, but not so far that chains stand still."""
    exact = truth.exact
    tight = 0.8 * exact.covariance.diagonal().sqrt()
    return truth.model(LinearNormal(0.9 * exact.A, exact.b + 0.1, torch.diag(tight)).normal("x"))


@pytest.mark.parametrize("encoder", [wrong, lambda truth: truth.model(truth.exact.full_normal("x"))])
def test_the_conditional_mean_is_the_exact_one_whatever_the_encoder(encoder: object) -> None:
    truth = LinearGaussian.random()
    model, x = encoder(truth), truth.evidence.sample((5,))  # type: ignore[operator]
    runs = [complete(model, Batch(holed(x)), 4000, seed, encode=asis) for seed in range(40)]
    found = torch.stack([run.x[:, MISSING] for run in runs])
    assert_mean(found, conditional(truth, x)[0], slack=2e-3)
    assert all(torch.equal(run.x[:, OBSERVED], x[:, OBSERVED]) for run in runs)


def test_the_median_and_the_quantiles_are_those_of_the_conditional_normal() -> None:
    truth = LinearGaussian.random()
    model, x = wrong(truth), truth.evidence.sample((4,))
    mean, cov = conditional(truth, x)
    sd = cov.diagonal().sqrt()
    by = {Median(): 0.5, Quantile(0.05): 0.05, Quantile(0.8): 0.8}
    for summary, at in by.items():
        runs = [complete(model, Batch(holed(x)), 2000, seed, summary, encode=asis).x for seed in range(30)]
        exact = mean + sd * NormalDistribution(0.0, 1.0).icdf(torch.tensor(at).double())
        assert_mean(torch.stack(runs)[:, :, MISSING], exact, slack=0.02)
    found = complete(model, Batch(holed(x)), 2000, 3, level=0.9, encode=asis)
    assert found.low is not None
    assert found.high is not None
    assert torch.equal(found.low, complete(model, Batch(holed(x)), 2000, 3, Quantile(0.05), encode=asis).x)
    assert torch.equal(found.high[:, OBSERVED], x[:, OBSERVED])


def test_intervals_cover_as_often_as_they_say() -> None:
    truth = LinearGaussian.random()
    x = truth.evidence.sample((600,))
    found = complete(wrong(truth), Batch(holed(x)), 1000, level=0.9, encode=asis)
    assert found.low is not None
    assert found.high is not None
    inside = (found.low <= x) & (x <= found.high)
    assert abs(inside[:, MISSING].double().mean() - 0.9) < 5 * math.sqrt(0.09 / 600)


def near(truth: LinearGaussian) -> LinearGaussian:
    """Another that the same rows could be of."""
    return LinearGaussian(truth.W + 0.2 * torch.randn_like(truth.W), truth.b + 0.4, truth.s)


def test_several_models_are_asked_as_their_mixture_in_equal_shares() -> None:
    one = LinearGaussian.random()
    other, x = near(one), one.evidence.sample((5,))
    models = [wrong(one), wrong(other)]
    runs = [complete(models, Batch(holed(x)), 4000, seed, encode=asis) for seed in range(40)]
    exact = torch.stack([conditional(truth, x)[0] for truth in (one, other)]).mean(0)
    assert_mean(torch.stack([run.x[:, MISSING] for run in runs]), exact, slack=2e-3)


def test_intervals_of_several_models_leave_out_as_much_of_their_mixture_as_they_say() -> None:
    first = LinearGaussian.random()
    truths, x = [first, near(first)], first.evidence.sample((40,))
    found = complete([wrong(truth) for truth in truths], Batch(holed(x)), 8000, level=0.8, encode=asis)
    assert found.low is not None
    assert found.high is not None
    sure = found.ess > 1000
    assert sure.sum() > 10
    told = [(mean[sure], cov) for mean, cov in (conditional(truth, x) for truth in truths)]
    normals = [NormalDistribution(mean, cov.diagonal().sqrt()) for mean, cov in told]
    for end, share in ((found.low, 0.1), (found.high, 0.9)):
        below = torch.stack([normal.cdf(end[sure][:, MISSING]) for normal in normals]).mean(0)
        assert (below - share).abs().max() < 5 * math.sqrt(0.09 / 1000)
        assert (below - share).mean().abs() < 0.01


def test_the_mode_of_a_normal_is_near_its_mean() -> None:
    truth = LinearGaussian.random()
    x = truth.evidence.sample((200,))
    found = complete(wrong(truth), Batch(holed(x)), 1000, by=Mode(), encode=asis)
    mean, cov = conditional(truth, x)
    off = (found.x[:, MISSING] - mean) / cov.diagonal().sqrt()
    assert off.abs().mean() < 0.6
    assert off.mean().abs() < 0.15


def test_modes_and_quantiles_of_draws() -> None:
    lumpy = torch.cat([torch.linspace(-3, -1, 50), torch.linspace(1.9, 2.1, 80), torch.linspace(5, 9, 60)])
    assert abs(float(half_sample_mode(lumpy[torch.randperm(190)])) - 2) < 0.11
    x, w = torch.randn(101, 1, 3), torch.full((101, 1), 1 / 101)
    torch.testing.assert_close(quantiles(x, w, [0.5])[0], x.median(0).values)
    first = torch.zeros(101, 1).index_fill(0, torch.tensor([7]), 1.0)
    assert torch.equal(quantiles(x, first, [0.3])[0], x[7])


# Models with a latent of one coordinate: what is exact comes by quadrature.


class Bend(nn.Module):
    """Parameters that bend with z."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(1, 16), nn.Linear(16, width)
        nn.init.normal_(self.first.weight, std=2.0)
        nn.init.normal_(self.second.weight, std=1.0)

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.second(torch.tanh(self.first(z)))
        return out


class FromHoles(nn.Module):
    """An encoder of rows with holes that is far from right."""

    def forward(self, x: Tensor) -> Tensor:
        seen = x.nan_to_num(0.0)
        return torch.stack([0.2 * seen.mean(1), torch.ones(len(x)).to(x)], 1)


def one_latent(family: Family, columns: int) -> VAE:
    decoder = Parametric(Bend(family.width(Size((columns,)))), family, "z")
    return VAE(decoder, z=Latent(standard_normal(1), Parametric(FromHoles(), Normal(), "x"))).double()


def exact_features(model: VAE, x: Tensor) -> Tensor:
    """E[features | x_obs] (n, F), by a fine grid of z."""
    z = torch.linspace(-7, 7, 4001).double().reshape(-1, 1, 1)
    with torch.no_grad():
        cells = model.likelihood({"z": z})
        log_weight = cells.log_prob(x) + NormalDistribution(0.0, 1.0).log_prob(z)[..., 0]
        return (log_weight.softmax(0).unsqueeze(-1) * cells.expected).sum(0)


def test_bits_are_completed_by_their_conditional_probability() -> None:
    model = one_latent(Observed(Bernoulli()), 6)
    x = torch.bernoulli(torch.full((8, 6), 0.5)).double()
    x[:, [1, 4, 5]] = torch.nan
    runs = torch.stack([complete(model, Batch(x), 2000, seed, encode=asis).x for seed in range(40)])
    assert_mean(runs[:, :, [1, 4, 5]], exact_features(model, x)[:, [1, 4, 5]], slack=2e-3)


def test_levels_are_completed_by_the_most_probable_one() -> None:
    model = one_latent(Observed(Categorical(4)), 5)
    x = torch.randint(0, 4, (30, 5)).double()
    x[:, [0, 3]] = torch.nan
    exact = exact_features(model, x).unflatten(1, (5, 4))
    top = exact.topk(2, -1).values
    clear = (top[..., 0] - top[..., 1] > 0.1) & x.isnan()
    assert clear.sum() > 20
    for by in (Mean(), Median(), Mode()):
        found = complete(model, Batch(x), 2000, by=by, encode=asis).x
        assert torch.equal(found[clear], exact.argmax(-1)[clear].double())


@pytest.mark.parametrize("by", [Mean(), Median(), Mode()])
def test_the_columns_of_a_mixed_table_are_completed(by: Summary) -> None:
    columns = (
        Marginal("normal", shape=(1.0, 2.0), holes=True),
        Marginal("bernoulli", levels=2, start=(0.5, 0.5), holes=True),
        Marginal("categorical", levels=3, start=(0.3, 0.3, 0.4), holes=True),
    )
    model = one_latent(Columns(columns), 3)
    x = model.sample(40).draw()
    rows = torch.arange(40)
    x[rows, rows % 3] = torch.nan
    found = complete(model, Batch(x), 3000, by=by, encode=asis)
    exact = model.likelihood({"z": torch.zeros(1, 1, 1).double()}).decided(exact_features(model, x))
    levels = torch.tensor([1, 2])
    agree = (found.x[:, levels] == exact[:, levels])[x[:, levels].isnan()]
    assert agree.double().mean() > 0.95
    numbers = x[:, 0].isnan()
    if isinstance(by, Mean):
        torch.testing.assert_close(found.x[numbers, 0], exact[numbers, 0], atol=0.3, rtol=0)
    drawn = draw_completions(model, Batch(x), 3, 50, how=MetropolisWithinGibbs(8), encode=asis)
    assert not drawn.x.isnan().any()


def test_an_image_with_missing_pixels_is_completed_by_a_model_that_knew_nothing_of_holes() -> None:
    """Bars: rows of pixels are all alike, so half of a row tells the other half."""
    draw = torch.Generator().manual_seed(0)
    x = (torch.rand(600, 1, 6, 1, generator=draw) < 0.5).float().expand(600, 1, 6, 6).contiguous()
    model = learned(build("vae", (1, 6, 6), latent=6, hidden=(64,)), x[:500])
    rest = x[500:].clone()
    rest[..., 3:] = torch.nan
    found = complete(model, Batch(rest), 2000)
    assert torch.equal(found.x[..., :3], x[500:, ..., :3])
    agree = (found.x.round() == x[500:])[..., 3:].double().mean()
    drawn = draw_completions(model, Batch(rest[:50]), 5, 500, how=MetropolisWithinGibbs(100))
    after = (drawn.x == x[500:550])[..., 3:].double().mean()
    before = (draw_completions(model, Batch(rest[:50]), 5, 500, how=Resampling()).x == x[500:550])[..., 3:].double()
    assert agree > 0.9
    assert after > 0.9
    assert after > before.mean() - 0.01


def learned(recipe: tuple[VAE, nn.Module], x: Tensor, steps: int = 600) -> VAE:
    from vaekit.objectives import Step

    model, objective = recipe
    adam = torch.optim.Adam([*model.parameters(), *objective.parameters()], 3e-3)
    for step in range(steps):
        batch = Batch(x[torch.randint(0, len(x), (100,))])
        adam.zero_grad()
        (-objective(model, batch, Step(torch.tensor(step))).value.mean()).backward()
        adam.step()
    return model


# Draws.


def whitened(truth: LinearGaussian, x: Tensor, drawn: Tensor) -> Tensor:
    """What draws of the missing coordinates `(n, 4)` are off, in units in which it is standard normal."""
    mean, cov = conditional(truth, x)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(cov), (drawn[:, MISSING] - mean).T, upper=False).T


def test_resampled_draws_have_the_conditional_distribution() -> None:
    truth = LinearGaussian.random()
    x = truth.evidence.sample((3000,))
    found = draw_completions(wrong(truth), Batch(holed(x)), 1, 2000, how=Resampling(), encode=asis)
    assert_moments(whitened(truth, x, found.x[0]), torch.zeros(2).double(), torch.eye(2).double())


def off_by(truth: LinearGaussian, x: Tensor, moves: int) -> Tensor:
    """How many standard errors the mean of chains is off that start from hardly resampled draws."""
    how = MetropolisWithinGibbs(moves)
    found = draw_completions(narrow(truth), Batch(holed(x)), 1, 2, how=how, encode=asis)
    return whitened(truth, x, found.x[0]).mean(0).abs().amax() * len(x) ** 0.5


def test_chains_correct_a_wrong_encoder() -> None:
    """From two draws each they reach the conditional distribution."""
    truth = LinearGaussian.random()
    x = truth.evidence.sample((3000,))
    found = draw_completions(narrow(truth), Batch(holed(x)), 1, 2, how=MetropolisWithinGibbs(150), encode=asis)
    assert_moments(whitened(truth, x, found.x[0]), torch.zeros(2).double(), torch.eye(2).double())
    assert (found.diagnostics.acceptance > 0.2).double().mean() > 0.9


def test_without_their_acceptance_they_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pseudo-Gibbs: every proposal is taken, and the encoder's faults stay in the draws."""
    truth = LinearGaussian.random()
    x = truth.evidence.sample((3000,))
    assert off_by(truth, x, 150) < 5
    monkeypatch.setattr("vaekit.uses.completion.chains._accepted", lambda log_ratio: torch.ones_like(log_ratio).bool())
    assert off_by(truth, x, 150) > 8


def test_intervals_of_draws_cover_as_often_as_they_say() -> None:
    truth = LinearGaussian.random()
    x = truth.evidence.sample((300,))
    found = draw_completions(narrow(truth), Batch(holed(x)), 200, 200, how=MetropolisWithinGibbs(30), encode=asis)
    low, high = found.interval(0.9)
    inside = ((low <= x) & (x <= high))[:, MISSING].double().mean()
    assert abs(inside - 0.9) < 5 * math.sqrt(0.09 / 300)


def test_chains_that_meet_say_so_and_chains_that_do_not_too() -> None:
    truth = LinearGaussian.random()
    x = holed(truth.evidence.sample((20,)))
    exact = truth.model(truth.exact.full_normal("x"))
    met = draw_completions(exact, Batch(x), 8, 50, how=MetropolisWithinGibbs(400), encode=asis)
    assert (met.diagnostics.rhat < 1.1).double().mean() > 0.9
    assert (met.diagnostics.acceptance > 1 - 1e-6).all()
    apart = [Moments(torch.zeros(3, 1, 2)), Moments(torch.zeros(3, 1, 2))]
    for half in apart:
        for _ in range(50):
            half.add(torch.randn(3, 1, 2) + torch.arange(3).reshape(3, 1, 1) * 10)
    assert (shrink_factor(*apart) > 5).all()


def test_moments_are_those_of_torch() -> None:
    chains = 1e4 + torch.randn(2, 30, 3, 4)
    halves = [Moments(chains[0, :3].reshape(3, 3, 4)) for _ in range(2)]
    for half, steps in zip(halves, chains, strict=True):
        for step in steps:
            half.add(step.expand(3, 3, 4))
    torch.testing.assert_close(halves[1].mean[0], chains[1].double().mean(0))
    torch.testing.assert_close(halves[1].variance[2], chains[1].double().var(0))


# A row's answer is its own.


@pytest.fixture(scope="module")
def table() -> tuple[VAE, Tensor]:
    torch.manual_seed(1)
    model = build("vae", (5,), latent=2, likelihood="normal", seed=1).model
    x = torch.randn(40, 5)
    x[torch.rand(40, 5) < 0.3] = torch.nan
    x[7] = torch.randn(5)
    return model, x


def test_a_completion_does_not_depend_on_the_rows_beside_it(table: tuple[VAE, Tensor]) -> None:
    model, x = table
    whole = complete(model, Batch(x), 300, level=0.9)
    order = torch.randperm(40)
    shuffled = complete(model, Batch(x[order]), 300, level=0.9)
    alone = complete(model, Batch(x[11:12]), 300)
    torch.testing.assert_close(shuffled.x, whole.x[order], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(alone.x, whole.x[11:12], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(shuffled.ess, whole.ess[order], rtol=1e-3, atol=1e-2)
    assert torch.equal(whole.x[~x.isnan()], x[~x.isnan()])
    assert torch.equal(whole.x[7], x[7])
    assert whole.ess[7] == 300
    assert not torch.equal(whole.x, complete(model, Batch(x), 300, seed=1).x)


def test_draws_do_not_depend_on_what_is_in_the_rows_beside_them(
    table: tuple[VAE, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = table
    monkeypatch.setattr("vaekit.evaluate.evidence.DRAWS_AT_ONCE", 1600)
    how = MetropolisWithinGibbs(10)
    whole = draw_completions(model, Batch(x), 4, 100, how=how)
    other = x.clone()
    other[20:] = torch.randn(20, 5).masked_fill(x[20:].isnan(), torch.nan) + 3
    changed = draw_completions(model, Batch(other), 4, 100, how=how)
    fewer = draw_completions(model, Batch(x[:13]), 4, 100, how=how)
    torch.testing.assert_close(changed.x[:, :20], whole.x[:, :20], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fewer.x, whole.x[:, :13], rtol=1e-4, atol=1e-4)
    assert torch.equal(whole.x[:, ~x.isnan()], x[~x.isnan()].expand(4, -1))
    assert whole.diagnostics.ess[7].isnan()


def test_draws_of_equal_rows_are_independent() -> None:
    truth = LinearGaussian.random()
    x = holed(truth.evidence.sample((1,))).expand(2000, 4)
    found = draw_completions(narrow(truth), Batch(x), 2, 100, how=MetropolisWithinGibbs(40), encode=asis).x[
        ..., MISSING
    ]
    neighbours = torch.stack([found[0, :-1, 0], found[0, 1:, 0]]).corrcoef()[0, 1]
    copies = torch.stack([found[0, :, 0], found[1, :, 0]]).corrcoef()[0, 1]
    assert max(abs(neighbours), abs(copies)) < 5 / 2000**0.5


def test_the_global_generator_is_left_alone(table: tuple[VAE, Tensor]) -> None:
    model, x = table
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    complete(model, Batch(x), 3)
    draw_completions(model, Batch(x), 2, 3, how=MetropolisWithinGibbs(4))
    assert torch.equal(torch.rand(1), expected)


def test_a_table_without_holes_or_rows_comes_back() -> None:
    model = build("vae", (5,), latent=2).model
    for x in (torch.rand(3, 5), torch.rand(0, 5)):
        found = complete(model, Batch(x), 10, level=0.5)
        assert isinstance(found, Completion)
        assert torch.equal(found.x, x)
        assert torch.equal(draw_completions(model, Batch(x), 2).x, x.expand(2, *x.shape))


def test_a_row_with_nothing_observed_is_completed_by_the_prior() -> None:
    model, x = one_latent(Observed(Bernoulli()), 6), torch.full((3000, 6), torch.nan).double()
    drawn = draw_completions(model, Batch(x), 1, 500, how=MetropolisWithinGibbs(10), encode=asis).x[0]
    assert_mean(drawn, exact_features(model, x[:1])[0])


def test_what_cannot_be_is_refused() -> None:
    x = Batch(torch.full((1, 4), torch.nan))
    model = build("vae", (4,)).model
    with pytest.raises(UsageError, match="at least 1"):
        complete(model, x, 0)
    with pytest.raises(UsageError, match="between 0 and 1"):
        complete(model, x, level=90)
    with pytest.raises(UsageError, match="no model"):
        complete([], x)
    with pytest.raises(UsageError, match="at least 1 of each"):
        draw_completions(model, x, 0)
    with pytest.raises(UsageError, match="is a point"):
        complete(build("ae", (4,)).model, x)
    with pytest.raises(UsageError, match="hang together"):
        complete(build("vae", (4,), likelihood="one_hot").model, x)
