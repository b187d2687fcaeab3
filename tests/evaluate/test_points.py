"""Models whose posterior is a point: no bound and no evidence, but the log-likelihood of the reconstruction."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import vaekit
from vaekit.cli.app import app
from vaekit.cli.launch import launch
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, bits_per_dimension
from vaekit.data import Dataset
from vaekit.evaluate import Annealing, FromPosterior, annealed, evaluate, information, log_evidence, rate_distortion
from vaekit.families.point import point_latents
from vaekit.model import FittedVAE
from vaekit.objectives import Capacity, Elbo, Iwae, Objective, Step, TargetRate, TotalCorrelation
from vaekit.recipes import build
from vaekit.report import report

POINTS = ("ae", "wae", "rae", "aae")
every_autoencoder = pytest.mark.parametrize("recipe", POINTS)


def rows(n: int = 60) -> Tensor:
    return torch.rand(n, 6, generator=torch.Generator().manual_seed(2)).round()


@cache
def fitted(recipe: str = "ae") -> FittedVAE:
    model, objective = build(recipe, (6,), latent=2, hidden=(8,))
    return vaekit.fit(model, objective, rows(), max_epochs=2, batch_size=20, verbose=False)


def reconstruction(model: VAE, x: Tensor) -> Tensor:
    """log p(x | z) at z = f(x), by hand."""
    code = model.parts["z"].posterior.params.net(x)  # type: ignore[union-attr]
    return model.likelihood({"z": code.unsqueeze(0)}).log_prob(x)[0].detach()


@every_autoencoder
def test_its_evaluation_is_the_log_likelihood_of_the_reconstruction_and_no_bound(recipe: str) -> None:
    found, exact = fitted(recipe).evaluate(rows(7), samples=4), reconstruction(fitted(recipe).model, rows(7))
    assert point_latents(fitted(recipe).model) == ("z",)
    torch.testing.assert_close(found.row_scores, exact.double())
    assert found.terms.log_likelihood == pytest.approx(float(exact.mean()), rel=1e-5)
    record = found.as_record()
    assert record["log_likelihood"] == found.terms.log_likelihood
    absent = ("elbo", "kl", "log_evidence", "samples", "stderr", "rows_stderr", "median_ess", "bits_per_dimension")
    assert [record[name] for name in absent] == [None] * len(absent)
    assert record["kl_of"] == {}
    assert found.evidence is None


@every_autoencoder
def test_its_history_follows_the_log_likelihood(recipe: str) -> None:
    for epoch in fitted(recipe).history:
        assert epoch.held_out is not None
        assert epoch.train.elbo is None
        assert epoch.held_out.elbo is None
        assert epoch.score == epoch.held_out.log_likelihood


ASKED: dict[str, Any] = {
    "log_evidence": lambda model, x: log_evidence(model, x, samples=3),
    "rate": lambda model, x: rate_distortion(model, x),
    "information": lambda model, x: information(model, x),
    "annealing": lambda model, x: annealed(model, x, Annealing(2, 3, start=FromPosterior)),
    "of a fitted model": lambda model, x: fitted().log_evidence(x),
    "scores": lambda model, x: fitted().score_samples(x, samples=3),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_what_takes_a_density_is_refused_by_the_name_of_the_latent(asked: Any) -> None:
    with pytest.raises(UsageError, match="the posterior of 'z' is a point, which has no density") as caught:
        asked(fitted().model, rows(4))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("objective", [Iwae(4), Iwae(1), TargetRate(3.0), Capacity(3.0)])
def test_an_objective_that_takes_a_density_is_refused_before_training(objective: Objective) -> None:
    with pytest.raises(UsageError, match=f"^{type(objective).__name__}.* posterior of 'z', which is a point"):
        objective.check(fitted().model)


def test_importance_weights_and_total_correlation_are_refused_of_a_batch_too() -> None:
    with pytest.raises(UsageError, match="posterior of 'z', which is a point"):
        Iwae(4)(fitted().model, Batch(rows(4)), Step.first())
    with pytest.raises(UsageError, match="total correlation"):
        (Elbo(beta=0.0) + TotalCorrelation(1.0, 60))(fitted().model, Batch(rows(4)), Step.first())


def test_the_evidence_by_annealing_from_the_prior_stands() -> None:
    """p(z) and p(x | z) make a p(x), whatever the encoder: with one temperature it is the plain mean over the prior."""
    model, x = fitted().model, rows(3)
    with torch.no_grad():
        z = model.sample(200_000).latent("z").unsqueeze(1)
        exact = model.likelihood({"z": z}).log_prob(x).logsumexp(0) - math.log(len(z))
    found = annealed(model, x, Annealing(chains=64, temperatures=60)).evidence
    assert ((found.log_evidence - exact).abs() < 5 * found.stderr + 0.05).all()


def test_its_report_and_its_card_call_nothing_a_bound(tmp_path: Path) -> None:
    test = Dataset(rows(12), name="toy data")
    page = report(fitted(), test, fitted().evaluate(test, samples=4))
    assert "There is no ELBO, no KL and no log p(x)" in " ".join(page.split())
    assert "Log-likelihood" in page
    assert "importance" not in page.lower()
    fitted().save(tmp_path / "model")
    assert "given their code" in (tmp_path / "model" / "README.md").read_text()


def test_the_command_line_fits_and_evaluates_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    np.savez(tmp_path / "rows.npz", x=rows().numpy(), x_test=rows(20).numpy())
    small = ["--epochs", "1", "--samples", "5", "--device", "cpu", "--model.latent", "2", "--model.hidden", "8"]
    run = tmp_path / "run"
    assert launch(app, ["fit", str(tmp_path / "rows.npz"), "--out", str(run), "--recipe", "ae", *small]) == 0
    out, err = capsys.readouterr()
    assert "log-likelihood" in out
    assert "no ELBO, no log p(x)" in out
    assert "ELBO" not in err
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert metrics["elbo"] is None
    assert metrics["log_evidence"] is None
    assert metrics["log_likelihood"] < 0
    assert launch(app, ["evaluate", str(run), "--device", "cpu"]) == 0
    assert "elbo" not in capsys.readouterr().out


EIGHT_BIT = ("discretised_logistic", "levels_256", "dequantised_logit_normal")


@cache
def images(likelihood: str) -> FittedVAE:
    x = torch.randint(0, 256, (60, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    model, objective = build("vae", (1, 4, 4), latent=2, hidden=(8,), likelihood=likelihood)
    return vaekit.fit(model, objective, x, max_epochs=1, batch_size=20, verbose=False)


@pytest.mark.parametrize("likelihood", EIGHT_BIT)
def test_bits_per_dimension_are_those_of_storing_the_bytes(likelihood: str) -> None:
    """A model that has learnt nothing of uniform bytes needs about 8 bits for each, and none needs fewer."""
    x = torch.randint(0, 256, (200, 1, 4, 4), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    found = images(likelihood).evaluate(x, samples=50)
    assert found.evidence is not None
    exact = -found.evidence.mean / (16 * math.log(2))
    assert found.bits_per_dimension == pytest.approx(exact)
    assert 8.0 - 5 * found.evidence.rows_stderr / (16 * math.log(2)) < exact < 12
    assert found.as_record()["bits_per_dimension"] == found.bits_per_dimension


def test_uniform_levels_take_exactly_8_bits() -> None:
    model = build("vae", (1, 4, 4), latent=2, hidden=(8,), likelihood="levels_256").model
    for weight in model.likelihood.parameters():
        torch.nn.init.zeros_(weight)
    about = images("levels_256").about
    found = FittedVAE(model, about).evaluate(torch.zeros(5, 1, 4, 4, dtype=torch.uint8), samples=2000)
    assert found.bits_per_dimension == pytest.approx(8.0, abs=0.01)


def test_the_change_of_variables_of_a_density_of_greys_adds_8_bits() -> None:
    """A density of 1 on [0, 1] gives each level of width 1/256 the mass 1/256."""
    from vaekit.core import Density

    greys = Density("greys", "probability density", level_bits=8.0)
    assert bits_per_dimension(0.0, (28, 28), greys) == 8.0


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal", "continuous_bernoulli"])
def test_other_values_have_no_bits(likelihood: str) -> None:
    model, objective = build("vae", (6,), latent=2, hidden=(8,), likelihood=likelihood)
    found = vaekit.fit(model, objective, rows(), max_epochs=1, verbose=False).evaluate(rows(9), samples=3)
    assert found.bits_per_dimension is None
    assert evaluate(model, fitted()._resident(rows(9)), 3).bits_per_dimension is None


def test_bits_are_shown_where_they_are_meant() -> None:
    one = images("discretised_logistic")
    test = Dataset(torch.randint(0, 256, (12, 1, 4, 4), dtype=torch.uint8), name="toy data")
    evaluation = one.evaluate(test, samples=4)
    assert "Bits per dimension" in report(one, test, evaluation)
    assert "Bits per dimension" not in report(fitted(), Dataset(rows(12)), fitted().evaluate(rows(12), samples=4))
    from vaekit.evaluate.words import evidence_words

    assert f"at most {evaluation.bits_per_dimension:.3f} bits per dimension" in evidence_words(
        evaluation.as_record(), True
    )
