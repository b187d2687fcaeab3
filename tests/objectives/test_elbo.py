from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.linear_gaussian import Affine, LinearGaussian
from core.statistics import assert_mean, stderr
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch, Latent, Parametric
from vaekit.families import Known, Normal, positive
from vaekit.objectives import KL, Constant, Cyclical, Elbo, Linear, Step, Terms, analytic_kl, sampled_kl
from vaekit.objectives.elbo import free_bits_kl
from vaekit.priors import standard_normal

COPIES = 20_000


def at(step: int) -> Step:
    return Step(torch.tensor(step))


def terms_of_copies(objective: Elbo, step: int = 0) -> tuple[Terms, LinearGaussian, Tensor]:
    """The terms of one row, many times over, under an inexact posterior: the same row and model at every call."""
    with seeded(5):
        truth = LinearGaussian.random()
        x = truth.evidence.sample((1,))
    with torch.no_grad():
        terms = objective(truth.model(truth.inexact.normal("x")), Batch(x.expand(COPIES, -1)), at(step))
    return terms, truth, x


@pytest.mark.parametrize("kl", [analytic_kl, sampled_kl])
def test_its_mean_is_the_elbo_in_closed_form(kl: KL) -> None:
    terms, truth, x = terms_of_copies(Elbo(kl=kl))
    exact, kl_exact = truth.elbo(truth.inexact, x), truth.kl(truth.inexact, x)
    assert_mean(terms.elbo.unsqueeze(-1), exact)
    assert_mean(terms.kl["z"].unsqueeze(-1), kl_exact)
    assert_mean(terms.log_likelihood.unsqueeze(-1), exact + kl_exact)
    assert float(exact) < float(truth.evidence.log_prob(x)) - 0.05


def test_the_analytic_kl_has_no_noise() -> None:
    terms, truth, x = terms_of_copies(Elbo())
    torch.testing.assert_close(terms.kl["z"], truth.kl(truth.inexact, x).expand(COPIES), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kl", [analytic_kl, sampled_kl])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_beta_weighs_the_kl_and_nothing_else(beta: float, kl: KL) -> None:
    terms, _, _ = terms_of_copies(Elbo(beta=beta, kl=kl))
    torch.testing.assert_close(terms.value, terms.log_likelihood - beta * terms.total_kl, rtol=0, atol=1e-10)
    assert torch.equal(terms.value, terms.elbo) == (beta == 1.0)


@pytest.mark.parametrize(
    ("schedule", "step", "beta"),
    [
        (Linear(0.0, 1.0, 10), 0, 0.0),
        (Linear(0.0, 1.0, 10), 5, 0.5),
        (Linear(0.0, 1.0, 10), 99, 1.0),
        (Cyclical(0.0, 1.0, 8), 10, 0.5),
        (Constant(2.0), 7, 2.0),
    ],
)
def test_a_schedule_gives_the_weight_of_its_step(schedule: Linear, step: int, beta: float) -> None:
    terms, _, _ = terms_of_copies(Elbo(beta=schedule), step)
    torch.testing.assert_close(terms.value, terms.log_likelihood - beta * terms.total_kl, rtol=0, atol=1e-6)


def test_more_samples_are_averaged() -> None:
    one, _, _ = terms_of_copies(Elbo())
    eight, _, _ = terms_of_copies(Elbo(samples=8))
    assert abs(float(one.elbo.mean() - eight.elbo.mean())) < 5 * float(stderr(one.elbo) + stderr(eight.elbo))
    assert float(one.elbo.var() / eight.elbo.var()) == pytest.approx(8, rel=0.15)


@pytest.mark.parametrize(
    ("objective", "is_bound"),
    [
        (Elbo(), True),
        (Elbo(beta=2.0), True),
        (Elbo(free_bits=0.5), True),
        (Elbo(beta=0.5), False),
        (Elbo(beta=Linear(0.0, 1.0, 10)), False),
    ],
)
def test_only_a_weight_of_one_or_more_makes_a_bound(objective: Elbo, is_bound: bool) -> None:
    assert objective.is_bound == is_bound


class Codes:
    """Posterior means and raw scales as they are; the likelihood does not read them, so all gradient is the KL's."""

    def __init__(self, loc: Tensor, raw: Tensor) -> None:
        self.params = torch.cat([loc, raw], dim=1).double().requires_grad_()
        likelihood = Parametric(Affine(torch.zeros(1, 2).double(), torch.zeros(1).double()), Normal(Known(1.0)), "z")
        encoder = Parametric(Lookup(self.params), Normal(), "x")
        self.model = VAE(likelihood, z=Latent(standard_normal(2), encoder)).double()

    @property
    def kl(self) -> Tensor:
        """KL(N(m, s^2) || N(0, 1)) of each coordinate, (batch, 2)."""
        loc, raw = self.params.detach().chunk(2, dim=1)
        scale = positive(raw)
        return 0.5 * (scale.square() + loc.square() - 1) - scale.log()

    def terms(self, objective: Elbo) -> Terms:
        return objective(self.model, Batch(torch.zeros(len(self.params), 1).double()), at(0))


class Lookup(torch.nn.Module):
    def __init__(self, params: Tensor) -> None:
        super().__init__()
        self.params = params

    def forward(self, x: Tensor) -> Tensor:
        return self.params


def test_free_bits_hold_a_coordinate_below_them_and_let_go_of_its_gradient() -> None:
    codes = Codes(torch.tensor([[0.1, 2.0], [0.2, 1.5]]), torch.tensor([[-0.05, -0.5], [0.02, -1.0]]))
    assert float(codes.kl[:, 0].mean()) < 0.25 < float(codes.kl[:, 1].mean())
    terms = codes.terms(Elbo(free_bits=0.25))
    held = 0.25 + codes.kl[:, 1]
    torch.testing.assert_close(terms.value, terms.log_likelihood - held, rtol=0, atol=1e-10)
    torch.testing.assert_close(terms.total_kl, codes.kl.sum(1), rtol=0, atol=1e-10)
    terms.value.sum().backward()
    assert codes.params.grad is not None
    assert torch.equal(codes.params.grad[:, [0, 2]], torch.zeros(2, 2).double())
    loc = codes.params.detach()[:, 1]
    torch.testing.assert_close(codes.params.grad[:, 1], -loc, rtol=1e-6, atol=1e-9)


def test_free_bits_judge_a_coordinate_by_its_mean_over_the_batch() -> None:
    """A row far above the floor is held with its coordinate, where the coordinate's mean is below."""
    per_coordinate = torch.tensor([[[1.0, 0.9], [0.0, 0.3]]])
    found = free_bits_kl(per_coordinate, 0.55, Batch(torch.zeros(2, 1)))
    torch.testing.assert_close(found, torch.tensor([[0.55 + 0.9, 0.55 + 0.3]]))


def test_free_bits_of_zero_are_the_elbo() -> None:
    codes = Codes(torch.randn(4, 2), torch.randn(4, 2))
    terms = codes.terms(Elbo(free_bits=0.0))
    assert torch.equal(terms.value, terms.elbo)


def test_free_bits_never_raise_the_mean_value_above_the_elbo() -> None:
    codes = Codes(torch.tensor([0.1, 2.0]) * torch.randn(50, 2), 0.3 * torch.randn(50, 2))
    terms = codes.terms(Elbo(free_bits=0.3))
    assert float(terms.value.detach().mean()) < float(terms.elbo.detach().mean())


def test_a_model_without_latents_is_its_likelihood() -> None:
    likelihood = Parametric(Affine(torch.zeros(2, 3).double(), torch.ones(2).double()), Normal(Known(1.0)), "y")
    x, y = torch.randn(4, 2).double(), torch.randn(4, 3).double()
    terms = Elbo()(VAE(likelihood), Batch(x, {"y": y}), at(0))
    expected = torch.distributions.Normal(1.0, 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(terms.value, expected)
    assert torch.equal(terms.elbo, terms.value)
