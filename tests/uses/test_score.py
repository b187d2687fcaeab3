"""The score of a row: what the evidence is when the row is alone, whichever rows it comes with."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import vaekit
from core.linear_gaussian import LinearGaussian
from vaekit.about import About
from vaekit.common.errors import DataError, UsageError
from vaekit.core import VAE, Batch, Density
from vaekit.data import BINARIZE, Dataset, Encoding
from vaekit.families.point import point_latents
from vaekit.model import FittedVAE
from vaekit.objectives import Elbo
from vaekit.recipes import RECIPES, build
from vaekit.train.rows.labels import as_vectors, labels_wanted
from vaekit.uses.alone import each_alone
from vaekit.uses.score import scores

PLACES = {"rtol": 1e-5, "atol": 1e-4}
"""What float32 leaves of a sum of some hundred nats when rows are worked on in other groups."""


def fitted(recipe: str = "vae", shape: tuple[int, ...] = (6,), binarize: str = "none", **options: object) -> FittedVAE:
    model = build(recipe, shape, seed=1, **options).model
    return FittedVAE(model, About(shape, Encoding(BINARIZE[binarize]()), Density("x", "mass")))


def has_points(recipe: str) -> bool:
    return bool(tuple(point_latents(build(recipe, (1, 16, 16)).model)))


@pytest.mark.parametrize("samples", [1, 50])
def test_the_exact_posterior_scores_each_row_with_its_exact_evidence(samples: int) -> None:
    truth = LinearGaussian.random()
    x = truth.evidence.sample((7,))
    found = scores(truth.model(truth.exact.full_normal("x")), Batch(x), samples, encode=lambda rows: rows)
    torch.testing.assert_close(found.log_evidence, truth.evidence.log_prob(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.elbo, found.log_evidence, rtol=1e-10, atol=1e-10)


def test_another_posterior_scores_below_the_evidence_by_its_divergence() -> None:
    """ELBO = log p(x) - KL(q || p(z | x)) in expectation over seeds; the evidence estimate lies between."""
    truth = LinearGaussian.random()
    x, rough = truth.evidence.sample((3,)), fitted("vae", (4,), latent=2, likelihood="normal").model.double()
    runs = [scores(rough, Batch(x), 20, seed, encode=lambda rows: rows) for seed in range(300)]
    elbos, evidences = torch.stack([run.elbo for run in runs]), torch.stack([run.log_evidence for run in runs])
    many = rough.trace(x, 20_000).log_weight.detach()
    errors = (elbos.var(0) / len(elbos) + many.var(0) / len(many)).sqrt()
    assert ((elbos.mean(0) - many.mean(0)).abs() < 5 * errors).all()
    assert (evidences.mean(0) > elbos.mean(0)).all()


@pytest.mark.parametrize("recipe", [name for name in RECIPES if not has_points(name)])
def test_a_row_has_the_evidence_that_it_has_alone(recipe: str) -> None:
    """As `log_evidence` says it of the row by itself, for every recipe, whether rows can be taken together or not."""
    one = fitted(recipe, (1, 16, 16))
    x = torch.rand(3, 1, 16, 16).round()
    y = torch.arange(3) % 2
    together = one.score_samples(Dataset(x, y), 4, seed=5)
    alone = [one.log_evidence(Dataset(x[row : row + 1], y[row : row + 1]), 4, seed=5) for row in range(3)]
    torch.testing.assert_close(together, torch.cat([found.log_evidence for found in alone]), **PLACES)


def test_a_posterior_that_is_a_point_has_no_score() -> None:
    assert has_points("ae")
    with pytest.raises(UsageError, match="is a point"):
        fitted("ae").score_samples(torch.rand(2, 6))


def test_most_recipes_work_on_all_rows_together() -> None:
    """Otherwise scoring would be many times slower, and nothing else would tell."""
    assert sum(goes_together(build(recipe, (6,)).model) for recipe in ("vae", "iwae", "beta_vae", "vamp_vae")) == 4


def goes_together(model: VAE) -> bool:
    rows = []

    def seen(one: Batch) -> Tensor:
        rows.append(one)
        return model.trace(one.x, 2, one.given).log_weight

    each_alone(seen, Batch(torch.rand(9, 6).round()), 0)
    return len(rows) == 1


@pytest.mark.parametrize("binarize", ["none", "dynamic", "static", "threshold"])
@pytest.mark.parametrize("recipe", ["vae", "gumbel_vae"])
def test_a_score_depends_neither_on_the_other_rows_nor_on_their_order(recipe: str, binarize: str) -> None:
    one = fitted(recipe, binarize=binarize)
    x = torch.rand(11, 6)
    whole = one.scores(x, 5)
    order = torch.randperm(11)
    torch.testing.assert_close(one.scores(x[order], 5).log_evidence, whole.log_evidence[order], **PLACES)
    parts = [one.scores(part, 5) for part in x.split([1, 7, 3])]
    torch.testing.assert_close(torch.cat([part.log_evidence for part in parts]), whole.log_evidence, **PLACES)
    torch.testing.assert_close(torch.cat([part.elbo for part in parts]), whole.elbo, **PLACES)


def test_groups_of_rows_and_steps_of_samples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one, x = fitted(), torch.rand(9, 6)
    before = one.scores(x, 7)
    monkeypatch.setattr("vaekit.evaluate.evidence.DRAWS_AT_ONCE", 14)
    torch.testing.assert_close(one.scores(x, 7).log_evidence, before.log_evidence, **PLACES)


def test_a_seed_decides_and_another_decides_otherwise() -> None:
    one, x = fitted(), torch.rand(5, 6)
    assert torch.equal(one.score_samples(x, 3, seed=1), one.score_samples(x, 3, seed=1))
    assert not torch.equal(one.score_samples(x, 3, seed=1), one.score_samples(x, 3, seed=2))


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fitted().score_samples(torch.rand(5, 6, generator=torch.Generator()), 3)
    fitted("gumbel_vae").score_samples(torch.rand(5, 6, generator=torch.Generator()), 3)
    assert torch.equal(torch.rand(1), expected)


def test_odd_rows_score_lower() -> None:
    """Trained on one corner of the cube, the model finds the opposite one less likely than any it has seen."""
    draw = torch.Generator().manual_seed(0)
    x = (torch.rand(400, 8, generator=draw) < 0.05).float()
    model, objective = build("vae", (8,), latent=2, hidden=(32,))
    one = vaekit.fit(model, objective, x, max_epochs=15, verbose=False, learning_rate=1e-2)
    assert one.score_samples(torch.ones(1, 8))[0] < one.score_samples(x).min() - 5


def test_labels_are_read_by_who_wants_them() -> None:
    one = fitted("cvae", labels=3)
    x = torch.rand(1, 6).round().expand(3, 6)
    found = one.score_samples(Dataset(x.contiguous(), torch.arange(3)), 4)
    wanted = labels_wanted(one.model, Elbo())
    given = {name: as_vectors(torch.arange(3), how.classes) for name, how in wanted.items()}
    direct = scores(one.model, Batch(x, given), 4)
    torch.testing.assert_close(found, direct.log_evidence, **PLACES)
    assert len(set(found.tolist())) == 3
    with pytest.raises(DataError, match="have none"):
        one.score_samples(x)


def test_faults_name_the_row() -> None:
    with pytest.raises(DataError, match="row 2 of x holds a NaN"):
        fitted().score_samples(torch.tensor([[0.0] * 6, [1.0] * 6, [math.nan] * 6]))
    with pytest.raises(DataError, match=r"row 1 of x has values outside \[0, 1\]"):
        fitted(binarize="static").score_samples(torch.tensor([[0.0] * 6, [2.0] * 6]))
    with pytest.raises(UsageError, match="at least 1"):
        fitted().score_samples(torch.rand(2, 6), 0)
