"""What a fit is said to lack, beside fits that lack it and fits that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import vaekit
from vaekit.caveats import caveats
from vaekit.data import Dataset
from vaekit.model import FittedVAE
from vaekit.report import report
from vaekit.train import Means

TRAINED = {"max_epochs": 8, "batch_size": 32, "learning_rate": 0.01, "verbose": False, "validation": 0.25}


def bright_or_dark(n: int = 200) -> torch.Tensor:
    """Rows of which one bit is all there is to tell."""
    torch.manual_seed(0)
    return (torch.rand(n, 1) < 0.5).float().expand(n, 12).contiguous()


def fitted(beta: float) -> FittedVAE:
    model, objective = vaekit.build("beta_vae", (12,), latent=2, hidden=(16,), beta=beta)
    return vaekit.fit(model, objective, bright_or_dark(), **TRAINED)


@pytest.fixture(scope="module")
def used() -> FittedVAE:
    return fitted(1.0)


@pytest.fixture(scope="module")
def unused() -> FittedVAE:
    return fitted(1000.0)


def found(model: FittedVAE) -> list[str]:
    return [caveat.what for caveat in caveats(model.about, model.evaluate(bright_or_dark(), samples=5))]


def test_codes_that_are_all_alike_are_told(used: FittedVAE, unused: FittedVAE) -> None:
    assert "no latent is in use" in found(unused)
    assert found(used) == []


def test_one_row_tells_nothing_of_how_codes_vary(used: FittedVAE) -> None:
    evaluation = used.evaluate(bright_or_dark()[:1], samples=5)
    assert evaluation.active_units == 0
    assert caveats(used.about, evaluation) == ()


def test_a_best_epoch_that_is_the_first_is_told(used: FittedVAE) -> None:
    training = {**used.about.training, "best_epoch": 1}
    overfitted = FittedVAE(used.model, replace(used.about, training=training))
    assert found(overfitted) == ["the first epoch was the best"]
    all_learnt = tuple(replace(epoch, held_out=None) for epoch in used.about.history)
    assert found(FittedVAE(used.model, replace(used.about, training=training, history=all_learnt))) == []


def test_the_report_says_so_and_names_the_rows(unused: FittedVAE) -> None:
    rows = Dataset(bright_or_dark())
    page = report(unused, rows, unused.evaluate(rows, samples=5), kind="held-out")
    assert "No latent is in use." in page
    assert "held-out rows" in page
    assert "test row" not in page.lower()


def test_an_evaluation_and_a_model_are_told_in_a_line(used: FittedVAE) -> None:
    evaluation = used.evaluate(bright_or_dark(), samples=5)
    assert isinstance(evaluation.terms, Means)
    said = repr(evaluation)
    assert f"ELBO {evaluation.terms.elbo:.2f}" in said
    assert f"log p(x) at least {evaluation.evidence.mean:.2f}" in said
    assert "\n" not in said
    assert repr(used) == f"FittedVAE(beta_vae of data: rows of 12, latents z, {used.model.weights:,} weights)"
    assert used.model.weights == 12 * 16 + 16 + 16 * 4 + 4 + 2 * 16 + 16 + 16 * 12 + 12
