from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import Size, Tensor, nn
from torch.optim.swa_utils import AveragedModel

import vaekit
from families.held_to_account import (
    assert_draws_follow_the_density,
    assert_mean,
    assert_mean_is_right,
    assert_sums_to_one,
)
from vaekit.common.errors import DataError, UsageError
from vaekit.core import VAE, Latent, Parametric
from vaekit.core.meeting import ROW
from vaekit.families import Bernoulli, Normal
from vaekit.priors import ExemplarPrior, Nearest, Subset
from vaekit.priors.exemplar import Choice
from vaekit.priors.normals import NormalsAround
from vaekit.recipes import build

DATA, ROWS = 6, 40


def prior_over(
    latent: int = 2, rows: int = ROWS, choice: Choice | None = None
) -> tuple[ExemplarPrior, Parametric, Tensor]:
    encoder = Parametric(nn.Linear(DATA, 2 * latent), Normal(), given="x").double()
    prior = ExemplarPrior(encoder, latent, choice).double()
    x = torch.rand(rows, DATA).double()
    prior.meet(x)
    return prior, encoder, x


def by_hand(z: Tensor, codes: Tensor, scale: Tensor, total: int) -> Tensor:
    """log of the sum of N(z; code, scale^2) over codes, divided by a total."""
    each = torch.distributions.Normal(codes, scale).log_prob(z.unsqueeze(-2)).sum(-1)
    return each.logsumexp(-1) - math.log(total)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_it_is_a_density_that_its_draws_follow(dimensions: int) -> None:
    prior, _, _ = prior_over(dimensions, rows=9)
    with torch.no_grad():
        prior.raw.fill_(-0.5)
    distribution = prior.eval()({})
    assert_sums_to_one(distribution, dimensions)
    assert_mean_is_right(distribution, dimensions)
    assert_draws_follow_the_density(distribution, dimensions)


def test_to_evaluate_all_rows_count() -> None:
    prior, encoder, x = prior_over()
    z = torch.randn(5, 3, 2).double()
    codes = encoder({"x": x[None]}).mean[0]
    torch.testing.assert_close(prior.eval()({}).log_prob(z), by_hand(z, codes, prior.scale, ROWS), rtol=0, atol=1e-10)


def test_the_sum_in_parts_is_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, _, _ = prior_over()
    z = torch.randn(5, 3, 2).double()
    whole = prior.eval()({}).log_prob(z)
    monkeypatch.setattr("vaekit.priors.normals.DISTANCES_AT_ONCE", 5 * 3 * 7)
    with torch.no_grad():
        torch.testing.assert_close(prior({}).log_prob(z), whole, rtol=0, atol=1e-12)


def test_with_all_neighbours_each_row_has_the_mixture_of_all_others() -> None:
    prior, encoder, x = prior_over(choice=Nearest(ROWS - 1))
    row = torch.tensor([3, 17, 0])
    z = torch.randn(5, 3, 2).double()
    codes = encoder({"x": x[None]}).mean[0]
    found = prior({"x": x[None, row], ROW: row[None]}).log_prob(z)
    for b, own in enumerate(row.tolist()):
        others = torch.cat([codes[:own], codes[own + 1 :]])
        torch.testing.assert_close(found[:, b], by_hand(z[:, b], others, prior.scale, ROWS - 1), rtol=0, atol=1e-10)


def test_a_prior_that_kept_the_own_row_would_break_the_bound() -> None:
    """At the own code with a small scale, the mixture with the own row is above what the others give, without limit."""
    prior, encoder, x = prior_over(choice=Nearest(ROWS - 1))
    with torch.no_grad():
        prior.raw.fill_(-6.0)
    codes = encoder({"x": x[None]}).mean
    row = torch.arange(ROWS)
    left_out = prior({"x": x[None], ROW: row[None]}).log_prob(codes)
    kept = prior.eval()({}).log_prob(codes)
    highest = -math.log(ROWS) - 2 * prior.scale.log().item() - math.log(2 * math.pi)
    assert (kept >= highest - 1e-6).all()
    assert left_out.mean() < kept.mean() - 5


@pytest.mark.parametrize("neighbours", [1, 3, 10])
def test_neighbours_bound_the_mixture_from_below(neighbours: int) -> None:
    """Some of the terms, divided by the number of all: never above the whole, and near it where the rest is far."""
    prior, encoder, x = prior_over(choice=Nearest(neighbours))
    row, z = torch.arange(5), torch.randn(4, 5, 2).double()
    context = {"x": x[None, row], ROW: row[None]}
    some = prior(context).log_prob(z)
    prior.choice = Nearest(ROWS - 1)
    assert (some <= prior(context).log_prob(z) + 1e-12).all()
    codes = encoder({"x": x[None]}).mean[0]
    distance = torch.cdist(codes[row], codes).scatter(1, row[:, None], math.inf)
    prior.choice = Nearest(neighbours)
    chosen = prior.choice(row, prior.codes)
    for b in range(5):
        nearest = set(distance[b].topk(neighbours, largest=False).indices.tolist())
        assert nearest <= set(chosen.index[chosen.visible[b]].tolist())


def test_a_random_subset_is_right_on_average() -> None:
    """The mean of the subset's density is the density of all others."""
    prior, encoder, x = prior_over(choice=Subset(5))
    codes = encoder({"x": x[None]}).mean[0]
    z = codes[:1].detach()
    rows = torch.stack([torch.randperm(ROWS - 1)[:3] + 1 for _ in range(4000)])
    rows[:, 0] = 0
    densities = [prior({"x": x[None, row], ROW: row[None]}).log_prob(z.expand(1, 3, 2))[0, 0].exp() for row in rows]
    expected = by_hand(z, codes[1:], prior.scale, ROWS - 1).exp()
    assert_mean(torch.stack(densities).detach(), expected[0].detach(), slack=0)


@pytest.mark.parametrize("choice", [Nearest(3), Subset(8)], ids=["nearest", "subset"])
def test_no_row_sees_itself_and_none_is_seen_twice(choice: Choice) -> None:
    prior, _, _ = prior_over(choice=choice)
    row = torch.tensor([5, 9, 11, 30])
    chosen = choice(row, prior.codes)
    for own, visible in zip(row.tolist(), chosen.visible, strict=True):
        seen = chosen.index[visible].tolist()
        assert own not in seen
        assert len(seen) == len(set(seen))


@pytest.mark.parametrize("choice", [Nearest(3), Subset(8)], ids=["nearest", "subset"])
def test_the_encoder_and_the_scale_learn_from_the_prior(choice: Choice) -> None:
    prior, encoder, x = prior_over(choice=choice)
    row = torch.arange(4)
    prior({"x": x[None, row], ROW: row[None]}).log_prob(torch.randn(2, 4, 2).double()).sum().backward()
    weight = encoder.params.net.weight.grad
    assert weight is not None
    assert (weight[:2] != 0).all()
    assert (weight[2:] == 0).all(), "the spread of a posterior is none of the prior's business"
    assert prior.raw.grad is not None
    assert prior.raw.grad != 0


def test_codes_follow_the_encoder() -> None:
    """In evaluation the codes are those of the weights as they are, however these were changed."""
    prior, encoder, x = prior_over()
    prior.eval()({})
    with torch.no_grad():
        encoder.params.net.bias.add_(1.0)
    prior({})
    torch.testing.assert_close(prior.codes, encoder({"x": x[None]}).mean[0].detach(), rtol=0, atol=1e-12)
    with torch.no_grad():
        encoder.params.net.bias.add_(1.0)
    saved = prior.state_dict()["codes"]
    torch.testing.assert_close(saved, encoder({"x": x[None]}).mean[0].detach(), rtol=0, atol=1e-12)


def test_in_training_the_codes_of_the_batch_are_brought_up_to_date() -> None:
    prior, encoder, x = prior_over()
    before = prior.codes.clone()
    with torch.no_grad():
        encoder.params.net.bias.add_(1.0)
    row = torch.tensor([2, 7])
    prior({"x": x[None, row], ROW: row[None]})
    torch.testing.assert_close(prior.codes[row], encoder({"x": x[None, row]}).mean[0].detach(), rtol=0, atol=1e-12)
    assert torch.equal(prior.codes[[0, 1, 3]], before[[0, 1, 3]])


def model_with(prior: ExemplarPrior, encoder: Parametric) -> VAE:
    return VAE(Parametric(nn.Linear(2, DATA), Bernoulli(), "z").double(), z=Latent(prior, encoder))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: AveragedModel(model).module], ids=["copy", "average"])
def test_a_copy_reads_its_own_encoder_and_the_same_rows(copied: type[VAE]) -> None:
    prior, encoder, _ = prior_over()
    twin = copied(model_with(prior, encoder)).eval()
    assert twin.parts["z"].prior._shared is prior._shared
    with torch.no_grad():
        for parameter in twin.parts["z"].posterior.parameters():
            parameter.add_(0.5)
    z = torch.randn(3, 1, 2).double()
    assert not torch.allclose(twin.parts["z"].prior({}).log_prob(z), prior.eval()({}).log_prob(z))


def test_it_moves_to_another_precision_after_it_met_its_rows() -> None:
    prior, encoder, _ = prior_over()
    model = model_with(prior, encoder).float().eval()
    assert model.sample(3).latent("z").dtype == torch.float32
    assert model.parts["z"].prior({}).log_prob(torch.zeros(1, 1, 2)).dtype == torch.float32


def test_before_it_met_any_rows_it_is_a_normal_at_0() -> None:
    encoder = Parametric(nn.Linear(DATA, 4), Normal(), given="x")
    model = VAE(Parametric(nn.Linear(2, DATA), Bernoulli(), "z"), z=Latent(ExemplarPrior(encoder, 2), encoder))
    assert model.trace(torch.rand(3, DATA), samples=2).log_weight.shape == (2, 3)
    at_0 = model.parts["z"].prior({}).log_prob(torch.zeros(1, 1, 2))
    torch.testing.assert_close(at_0, torch.full((1, 1), -math.log(2 * math.pi)))


def test_a_batch_without_row_numbers_is_refused_in_training_only() -> None:
    prior, encoder, x = prior_over()
    model = model_with(prior, encoder)
    with pytest.raises(UsageError, match="row numbers"):
        model.trace(x[:3])
    assert model.sample(3).draw().shape == (3, DATA)
    assert model.eval().trace(x[:3]).log_weight.shape == (1, 3)


def test_it_is_over_maps_as_over_vectors() -> None:
    means = torch.randn(5, 2, 3, 2).double()
    z = torch.randn(4, 3, 2, 3, 2).double()
    scale = torch.tensor(0.7).double()
    flat = NormalsAround(means.flatten(1), scale).log_prob(z.flatten(2))
    torch.testing.assert_close(NormalsAround(means, scale).log_prob(z), flat, rtol=1e-12, atol=1e-12)
    assert NormalsAround(means, scale).expand(Size((4, 3))).sample().shape == (4, 3, 2, 3, 2)


def test_distances_keep_their_digits_in_float32() -> None:
    """Draws close to their exemplar, far from 0: by matrix products the distance would be noise."""
    means = torch.full((1, 40), 20.0)
    offset = 1e-3 * torch.randn(30, 1, 40)
    scale = torch.tensor(1e-3)
    found = NormalsAround(means.double(), scale.double()).log_prob((20.0 + offset).double())
    torch.testing.assert_close(
        NormalsAround(means, scale).log_prob(20.0 + offset).double(), found, rtol=0, atol=0.02 * 40
    )


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_run_hands_over_its_rows_and_the_codes_are_saved(ema: float | None, tmp_path: Path) -> None:
    x = torch.rand(60, DATA)
    model, objective = build("exemplar_vae", (DATA,), latent=2, hidden=(8,), net="mlp", neighbours=3)
    fitted = vaekit.fit(model, objective, x, max_epochs=2, batch_size=16, ema=ema, verbose=False)
    prior = fitted.model.parts["z"].prior
    assert prior.codes.shape == (54, 2)
    fitted.save(tmp_path / "model")
    loaded = vaekit.load_model(tmp_path / "model", device="cpu")
    again = fitted.log_evidence(x[:5], 20), loaded.log_evidence(x[:5], 20)
    assert torch.equal(again[0].log_evidence, again[1].log_evidence)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Nearest(0), UsageError, "0 neighbours"),
        (lambda: Subset(1), UsageError, "subset of 1"),
        (lambda: prior_over(rows=1), DataError, "1 training rows"),
        (
            lambda: ExemplarPrior(Parametric(nn.Linear(2, 4), Normal(), given="h"), 2),
            UsageError,
            "reads h: it has to read x alone",
        ),
    ],
)
def test_what_cannot_be_is_refused(make: type[Choice], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("fused", [True, False])
def test_in_evaluation_codes_are_those_of_the_weights_whatever_moved_them(fused: bool) -> None:
    """Fused optimisers move weights without a trace in their versions."""
    encoder = Parametric(nn.Linear(6, 4), Normal(), given="x")
    prior, rows = ExemplarPrior(encoder, 2), torch.rand(20, 6)
    prior.meet(rows)
    prior.eval()({})
    prior.train()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.1, fused=fused)
    encoder({"x": rows.unsqueeze(0)}).mean.sum().backward()
    optimizer.step()
    means = prior.eval()({}).means
    torch.testing.assert_close(means, encoder({"x": rows.unsqueeze(0)}).mean.squeeze(0).detach())
