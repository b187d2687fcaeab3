"""Regression: weights that all rows share, against the exact posterior, and against a chain where there are groups."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence
from torch.distributions import Normal as Bell

import vaekit
from vaekit import VAE, Batch, Elbo, Latent, Parametric
from vaekit.common.errors import UsageError
from vaekit.core import Global
from vaekit.core.process import Process, aligned
from vaekit.data import Dataset
from vaekit.evaluate import log_evidence
from vaekit.evaluate.hamiltonian import hamiltonian_move
from vaekit.families import FullNormal, Known, Normal, OneHot
from vaekit.nets import Dense
from vaekit.objectives import Cosine, Enumerate, Iwae, PowerMean, Step, StickTheLanding, Weighted
from vaekit.priors import LearnedPrior, classes, standard_normal

NOISE = 0.4


class Line(nn.Module):
    def forward(self, c: Tensor, w: Tensor) -> Tensor:
        return (c * w).sum(-1, keepdim=True)


class Lines(nn.Module):
    def forward(self, c: Tensor, g: Tensor, w: Tensor) -> Tensor:
        lines = w.unflatten(1, (g.shape[1], c.shape[1]))
        return torch.einsum("nd,nk,nkd->n", c, g, lines).unsqueeze(1)


def regression(rows: int, coordinates: int) -> VAE:
    weights = Global(standard_normal(coordinates), LearnedPrior(FullNormal(), coordinates), rows=rows)
    return VAE(Parametric(Line(), Normal(Known(NOISE)), given=("c", "w")), w=weights)


def landing(samples: int) -> Weighted:
    """The ELBO, by the gradient that has no noise where the posterior is exact."""
    return Weighted(PowerMean(samples, power=0.0), StickTheLanding())


@pytest.fixture(scope="module")
def rows() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(200, 3, generator=generator) @ torch.tensor([[1.0, 0.6, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    noise = NOISE * torch.randn(200, 1, generator=generator)
    return Dataset(c @ torch.tensor([[1.0], [-2.0], [0.5]]) + noise, given={"c": c})


@pytest.fixture(scope="module")
def fitted(rows: Dataset) -> vaekit.FittedVAE:
    model, rate = regression(len(rows), 3), Cosine(0.1, 0.001, 500)
    settings = {"max_epochs": 500, "batch_size": len(rows), "validation": 0.0, "clip": 0.1, "verbose": False}
    return vaekit.fit(model, landing(4), rows, learning_rate=rate, **settings)  # type: ignore[arg-type]


def exact(rows: Dataset) -> MultivariateNormal:
    c = rows.given["c"].double()
    covariance = (torch.eye(3, dtype=torch.float64) + c.T @ c / NOISE**2).inverse()
    return MultivariateNormal((covariance @ c.T @ rows.x.double() / NOISE**2).squeeze(1), covariance)


def test_the_posterior_of_shared_weights_is_the_exact_one(fitted: vaekit.FittedVAE, rows: Dataset) -> None:
    found, truth = fitted.model.parts["w"].posterior({}).whole, exact(rows)
    spread = truth.stddev
    assert ((found.mean.flatten() - truth.mean).abs() / spread).max() < 0.01
    scaled = (found.covariance_matrix[0, 0] - truth.covariance_matrix) / (spread * spread.unsqueeze(1))
    assert scaled.abs().max() < 0.01


def test_the_elbo_of_all_rows_adds_up_to_the_evidence(fitted: vaekit.FittedVAE, rows: Dataset) -> None:
    """Where the posterior is exact, every draw weighs the evidence: that of all rows together."""
    c = rows.given["c"].double()
    truth = MultivariateNormal(torch.zeros(200).double(), NOISE**2 * torch.eye(200).double() + c @ c.T)
    weights = fitted.model.trace(rows.x, 50, rows.given).log_weight.sum(1)
    torch.testing.assert_close(weights, truth.log_prob(rows.x.double()[:, 0]).float().expand(50), rtol=0, atol=0.05)


def test_batches_of_any_size_estimate_the_bound_of_the_whole(rows: Dataset) -> None:
    model = regression(len(rows), 3).double()
    x, c = rows.x.double(), rows.given["c"].double()
    whole = Elbo(samples=4000)(model, Batch(x, {"c": c}), Step.first()).value.sum()
    parts = [Elbo(samples=4000)(model, part, Step.first()).value.sum() for part in Batch(x, {"c": c}).split(17)]
    log_lik = model.trace(x, 4000, {"c": c}).log_lik.sum(1)
    assert abs(torch.stack(parts).sum() - whole) < 8 * log_lik.std() / 4000**0.5


def test_the_share_of_a_row_is_one_in_all_rows(rows: Dataset) -> None:
    model = regression(len(rows), 3)
    posterior = model.parts["w"].posterior({}).whole
    trace = model.trace(rows.x[:5], 7, {"c": rows.given["c"][:5]})
    term = trace.latents["w"]
    assert term.value.shape == (7, 1, 3)
    assert trace.log_weight.shape == (7, 5)
    torch.testing.assert_close(term.log_posterior * len(rows), posterior.log_prob(term.value))


def test_fit_counts_the_rows_it_trains_on(rows: Dataset, tmp_path: Path) -> None:
    model = regression(7, 3)
    fitted = vaekit.fit(model, Elbo(), rows, max_epochs=1, validation=0.25, verbose=False)
    assert model.parts["w"].prior.rows == model.parts["w"].posterior.rows == 150
    again = vaekit.load_model(fitted.save(tmp_path / "model"), regression(7, 3))
    assert again.model.parts["w"].prior.rows == 150


def test_what_is_of_one_row_is_refused(rows: Dataset) -> None:
    model, batch = regression(len(rows), 3), Batch(rows.x, rows.given)
    with pytest.raises(UsageError, match="all rows share 'w'"):
        Iwae(4)(model, batch, Step.first())
    with pytest.raises(UsageError, match="all rows share 'w'"):
        Iwae(4).check(model)
    with pytest.raises(UsageError, match="all rows share 'w'"):
        log_evidence(model, rows.x, 10, rows.given)
    landing(4).check(model)


def test_a_shared_latent_reads_no_row(rows: Dataset) -> None:
    amortised = Parametric(nn.Linear(1, 6), Normal(), given="x")
    likelihood = Parametric(Line(), Normal(Known(NOISE)), given=("c", "w"))
    model = VAE(likelihood, w=Global(standard_normal(3), amortised, rows=200))
    with pytest.raises(UsageError, match="reads 'x', which differs between rows"):
        model.trace(rows.x, given=rows.given)


def test_evaluation_tells_the_bound_and_no_evidence(fitted: vaekit.FittedVAE, rows: Dataset) -> None:
    found = fitted.evaluate(rows)
    assert found.evidence is None
    assert found.terms.elbo is not None
    assert fitted.encode(rows, latent="w").shape == (200, 3)
    assert fitted.encode_draws(rows, 3, latent="w").shape == (3, 200, 3)


def test_the_process_says_what_rows_share() -> None:
    process = Process.of(regression(10, 3), given={"c": torch.zeros(1, 3)})
    assert aligned(process.generative) == ["w        ~ N(0, I), one for all rows", "x | c, w ~ N(μ(c, w), 0.4² I)"]


def in_groups() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    c = torch.stack([torch.ones(300), torch.randn(300, generator=generator)], 1)
    lines = torch.tensor([[1.0, 1.5], [-1.0, -0.5]])[torch.randint(0, 2, (300,), generator=generator)]
    noise = NOISE * torch.randn(300, generator=generator)
    return Dataset(((lines * c).sum(1) + noise).unsqueeze(1), given={"c": c})


def mixture_of_lines(rows: int) -> VAE:
    guess = Dense(hidden=(32, 32)).down([torch.Size((2,)), torch.Size((1,))], torch.Size((2,)))
    weights = Global(standard_normal(4), LearnedPrior(FullNormal(), 4), rows=rows)
    with torch.no_grad():
        weights.posterior.whole.params[..., :4] = torch.tensor([0.3, 0.3, -0.3, -0.3])
    likelihood = Parametric(Lines(), Normal(Known(NOISE)), given=("c", "g", "w"))
    return VAE(likelihood, w=weights, g=Latent(classes(2), Parametric(guess, OneHot(), given=("c", "x"))))


def test_summing_groups_out_is_one_number_by_both_ways() -> None:
    """Inside the plain ELBO groups are samples of one trace; inside another objective each has a batch of its own."""
    rows = in_groups()
    model, batch = (
        mixture_of_lines(len(rows)).double(),
        Batch(rows.x.double()[:20], {"c": rows.given["c"].double()[:20]}),
    )
    with torch.no_grad():
        model.parts["w"].posterior.whole.params[..., 4:8] = -2.0
        once = torch.stack([Enumerate("g", Elbo())(model, batch, Step.first()).elbo.sum() for _ in range(300)])
        terms = Enumerate("g", landing(1000))(model, batch, Step.first())
    assert abs(once.mean() - terms.elbo.sum()) < 6 * once.std() * (1 / 300 + 1 / 1000) ** 0.5
    whole = kl_divergence(
        model.parts["w"].posterior({}).whole, MultivariateNormal(torch.zeros(4).double(), torch.eye(4).double())
    )
    exactly = Enumerate("g", Elbo())(model, batch, Step.first()).kl["w"]
    torch.testing.assert_close(exactly, (whole.flatten() / 300).expand(20), rtol=1e-4, atol=0)


def by_chains(rows: Dataset, start: Tensor) -> Tensor:
    """Draws of the weights from their exact posterior, the groups summed out: `(draw, chain, 4)`."""
    c, y = rows.given["c"], rows.x

    def log_joint(u: Tensor) -> Tensor:
        means = torch.einsum("nd,bkd->bnk", c, u.unflatten(1, (2, 2)))
        return -u.square().sum(1) / 2 + (Bell(means, NOISE).log_prob(y) - math.log(2)).logsumexp(-1).sum(1)

    kept, u, step_size = [], start, torch.full((len(start),), 0.04)
    for draw in range(140):
        u = hamiltonian_move(log_joint, u, step_size, leapfrogs=8).position
        kept += [u] if draw >= 40 else []
    return torch.stack(kept)


def test_weights_of_latent_groups_are_those_of_a_long_chain() -> None:
    """A posterior without correlation between weights and groups is a little too narrow, by its nature."""
    rows = in_groups()
    model, rate = mixture_of_lines(len(rows)), Cosine(0.1, 0.001, 300)
    settings = {"max_epochs": 300, "batch_size": len(rows), "validation": 0.0, "clip": 0.1, "verbose": False}
    vaekit.fit(model, Enumerate("g", landing(2)), rows, learning_rate=rate, **settings)  # type: ignore[arg-type]
    found = model.parts["w"].posterior({}).whole
    draws = by_chains(rows, found.expand(torch.Size((16, 1))).sample().squeeze(1))
    mean, spread = draws.mean((0, 1)), draws.flatten(0, 1).std(0)
    assert ((found.mean.flatten() - mean).abs() < 0.25 * spread).all()
    ratio = found.stddev.flatten() / spread
    assert ((ratio > 0.8) & (ratio < 1.1)).all()
