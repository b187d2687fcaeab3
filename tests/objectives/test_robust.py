"""Robust objectives: they learn the clean part of contaminated data, and are what their formulas say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Distribution, Independent, Laplace, Normal

from core.linear_gaussian import LinearGaussian
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Conditional, Context, Latent
from vaekit.objectives import DensityPower, Elbo, Enumerate, Objective, Step, Trimmed
from vaekit.objectives.robust import lowest, power_integral
from vaekit.priors import standard_normal
from vaekit.recipes import build


class Given(Conditional):
    """The latent's own prior for its posterior: it is not used."""

    given = ("x",)

    def forward(self, context: Context) -> Distribution:
        zeros = context["x"].new_zeros(*context["x"].shape[:2], 1)
        return Independent(Normal(zeros, torch.ones_like(zeros)), 1)


class Level(Conditional):
    """x ~ N(m, s^2) whatever z is: its maximum likelihood is the mean and the deviation of the data."""

    given = ("z",)

    def __init__(self) -> None:
        super().__init__()
        self.loc, self.log_scale = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))

    def forward(self, context: Context) -> Distribution:
        shape = (*context["z"].shape[:2], 2)
        return Independent(Normal(self.loc.expand(shape), self.log_scale.exp().expand(shape)), 1)


def learnt(objective: Objective, x: Tensor, batch: int = 200) -> Level:
    level = Level()
    model = VAE(level, z=Latent(standard_normal(1), Given()))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for step in range(600):
        rows = x[torch.randperm(len(x))[:batch]]
        value = objective(model, Batch(rows), Step(torch.tensor(step))).value.mean()
        optimizer.zero_grad()
        (-value).backward()
        optimizer.step()
    return level


def contaminated() -> Tensor:
    """900 rows of N((1, -1), 0.5^2), and 100 around (9, 9)."""
    clean = torch.tensor([1.0, -1.0]) + 0.5 * torch.randn(900, 2)
    return torch.cat([clean, 9 + 0.5 * torch.randn(100, 2)])


@pytest.mark.parametrize("objective", [Trimmed(Elbo(), 0.15), DensityPower(0.3)], ids=["trimmed", "density power"])
def test_a_robust_objective_learns_the_clean_rows(objective: Objective) -> None:
    found = learnt(objective, contaminated())
    assert (found.loc - torch.tensor([1.0, -1.0])).abs().max() < 0.1
    assert (found.log_scale.exp() - 0.5).abs().max() < 0.1


def test_the_elbo_does_not() -> None:
    found = learnt(Elbo(), contaminated())
    assert (found.loc - torch.tensor([1.8, 0.0])).abs().max() < 0.3
    assert (found.log_scale.exp() > 2).all()


class TestTrimmed:
    def test_its_mean_is_the_trimmed_mean(self) -> None:
        model, x = build("vae", (6,), latent=2, seed=0).model, torch.rand(10, 6)
        with torch.random.fork_rng():
            plain = Elbo()(model, Batch(x), Step.first())
        trimmed = Trimmed(Elbo(), 0.3)(model, Batch(x), Step.first())
        best = plain.value.sort(descending=True).values[:7]
        torch.testing.assert_close(trimmed.value.mean(), best.mean())
        assert torch.equal(trimmed.elbo, plain.elbo)

    def test_what_is_left_out_has_no_gradient(self) -> None:
        model, x = build("vae", (6,), likelihood="normal", latent=2, seed=0).model, torch.rand(10, 6)
        x[4] = 90.0
        x.requires_grad_()
        Trimmed(Elbo(), 0.1)(model, Batch(x), Step.first()).value.sum().backward()
        assert x.grad is not None
        assert (x.grad.abs().sum(1) == 0).nonzero().flatten().tolist() == [4]

    def test_a_share_of_none_is_the_objective(self) -> None:
        model, x = build("vae", (6,), latent=2, seed=0).model, torch.rand(7, 6)
        with torch.random.fork_rng():
            plain = Elbo()(model, Batch(x), Step.first())
        torch.testing.assert_close(Trimmed(Elbo(), 0.1)(model, Batch(x), Step.first()).value, plain.value)

    def test_a_row_without_a_number_is_not_swept_under_the_rug(self) -> None:
        values = torch.tensor([1.0, math.nan, 0.0, 2.0])
        assert lowest(values, 0.25).tolist() == [False, False, True, False]

    def test_it_wraps_any_objective_and_is_checked_as_it_is(self) -> None:
        model, objective = build("gm_vae", (6,), latent=2, components=3)
        assert isinstance(objective, Enumerate)
        trimmed = Trimmed(objective, 0.2)
        trimmed.check(model)
        assert trimmed(model, Batch(torch.rand(10, 6)), Step.first()).value.count_nonzero() == 8
        assert not trimmed.is_bound
        with pytest.raises(UsageError, match="gradient through the draws"):
            Trimmed(Elbo()).check(model)

    @pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
    def test_a_share_is_refused(self, share: float) -> None:
        with pytest.raises(UsageError, match="share"):
            Trimmed(Elbo(), share)


class TestDensityPower:
    def test_for_a_small_power_it_is_the_elbo(self) -> None:
        truth = LinearGaussian.random()
        model, x = truth.model(truth.inexact.normal("x")), truth.evidence.sample((5,))
        with torch.random.fork_rng():
            elbo = Elbo()(model, Batch(x), Step.first())
        found = DensityPower(1e-7)(model, Batch(x), Step.first())
        torch.testing.assert_close(found.value, elbo.value, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("power", [0.1, 0.5, 1.0, 2.0])
    @pytest.mark.parametrize("law", [Normal(0.3, 0.7), Laplace(-0.2, 0.4)])
    def test_the_integral_of_a_density(self, law: Distribution, power: float) -> None:
        u = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
        density = law.log_prob(u).exp() ** (1 + power)
        assert float(power_integral(law, power)) == pytest.approx(float(torch.trapezoid(density, u)), rel=1e-4)

    def test_the_sum_of_a_mass(self) -> None:
        assert float(power_integral(Bernoulli(0.2), 0.5)) == pytest.approx(0.2**1.5 + 0.8**1.5)

    def test_what_is_far_out_has_no_weight(self) -> None:
        truth = LinearGaussian.random()
        model = truth.model(truth.inexact.normal("x"))
        x = torch.full((1, 4), 1e3).double()
        terms, shift = DensityPower(0.5)(model, Batch(x), Step.first()), model.likelihood.params.net.b
        (plain,) = torch.autograd.grad(terms.log_likelihood.sum(), shift, retain_graph=True)
        (weighted,) = torch.autograd.grad(terms.value.sum(), shift)
        assert float(plain.abs().min()) > 100
        assert float(weighted.abs().max()) < 1e-9

    def test_a_missing_cell_neither_counts_nor_harms(self) -> None:
        model = build("vae", (6,), likelihood="normal", latent=2, seed=0).model
        trace = model.trace(torch.rand(3, 6))
        x = trace.context["x"].clone()
        whole = DensityPower()._gain(trace.likelihood, x)
        x[0, 1, 2] = math.nan
        holed = DensityPower()._gain(trace.likelihood, x)
        whole[0, 1, 2] = 0.0
        assert torch.equal(holed, whole)

    def test_faults(self) -> None:
        with pytest.raises(UsageError, match="positive"):
            DensityPower(0.0)
        with pytest.raises(UsageError, match="Categorical"):
            power_integral(Categorical(torch.ones(3)), 0.1)
        truth = LinearGaussian.random(2, 4)
        model = VAE(
            truth.exact.full_normal("z"), z=Latent(standard_normal(2), LinearGaussian.random().exact.full_normal("x"))
        )
        with pytest.raises(UsageError, match="independent coordinates"):
            DensityPower()(model.double(), Batch(torch.rand(2, 4).double()), Step.first())
