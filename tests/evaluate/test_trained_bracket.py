"""The bracket on a model that was trained: neither linear nor Gaussian, its truth known from both sides alone."""

from __future__ import annotations

import pytest
import torch

from vaekit.core import VAE
from vaekit.data import Encoding, Static, load_mnist
from vaekit.evaluate import Annealing, Bracket, FromPosterior, bracket, log_evidence
from vaekit.recipes import build
from vaekit.train import Resident, Settings, train


@pytest.fixture(scope="module")
def model() -> VAE:
    encoding = Encoding(Static())
    rows = Resident(encoding.prepare(load_mnist().train.head(3000)), encoding, 100, torch.device("cpu"))
    made = build("vae", (1, 28, 28), latent=8, hidden=(64,))
    return train(made.model, made.objective, rows, settings=Settings(max_epochs=5, learning_rate=3e-3)).model


@pytest.fixture(scope="module")
def found(model: VAE) -> Bracket:
    torch.manual_seed(0)
    return bracket(model, 16, Annealing(chains=8, temperatures=100, start=FromPosterior))


def test_it_is_less_than_a_nat_wide(found: Bracket) -> None:
    assert found.gap.value < 1
    assert found.gap.value + 5 * found.gap.stderr > 0
    assert float(found.lower.acceptance.mean()) == pytest.approx(0.65, abs=0.12)


def test_importance_sampling_stays_below_it_and_nears_it(model: VAE, found: Bracket) -> None:
    few, many = (log_evidence(model, found.x, samples).mean for samples in (1, 2000))
    assert few < many < found.upper.evidence.mean + 0.1
    assert found.upper.evidence.mean - many < 0.3 * (found.upper.evidence.mean - few)
