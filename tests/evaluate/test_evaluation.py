from __future__ import annotations

import math

import pytest
import torch

from core.linear_gaussian import LinearGaussian
from core.statistics import SIGMAS
from vaekit.core import VAE, Batch
from vaekit.data import Dataset, Encoding, Greys
from vaekit.evaluate import activity, evaluate, posterior_means
from vaekit.recipes import build
from vaekit.train import Resident

CPU = torch.device("cpu")


def resident(x: torch.Tensor, batch_size: int = 64) -> Resident:
    return Resident(Dataset(x.float()), Encoding(Greys()), batch_size, CPU)


@pytest.fixture
def truth() -> LinearGaussian:
    return LinearGaussian.random()


@pytest.fixture
def model(truth: LinearGaussian) -> VAE:
    return truth.model(truth.inexact.normal("x")).float()


def test_its_numbers_are_those_of_the_model(truth: LinearGaussian, model: VAE) -> None:
    x = truth.evidence.sample((3000,)).float().double()
    with torch.no_grad():
        found = evaluate(model, resident(x), samples=200)
    exact, elbo, kl = truth.evidence.log_prob(x), truth.elbo(truth.inexact, x), truth.kl(truth.inexact, x)
    assert found.rows == 3000
    assert found.terms.total_kl == pytest.approx(float(kl.mean()), rel=1e-4)
    noise = 2.0 / math.sqrt(3000)
    assert found.terms.elbo == pytest.approx(float(elbo.mean()), abs=SIGMAS * noise)
    assert found.evidence.mean == pytest.approx(float(exact.mean()), abs=SIGMAS * found.evidence.mean_stderr + 0.02)
    assert found.evidence.rows_stderr == pytest.approx(float(exact.std()) / math.sqrt(3000), rel=0.1)


def test_its_record_has_what_it_found(truth: LinearGaussian, model: VAE) -> None:
    found = evaluate(model, resident(truth.evidence.sample((50,))), samples=10)
    record = found.as_record()
    assert record["elbo"] == pytest.approx(record["log_likelihood"] - record["kl"])
    assert record["kl_of"] == {"z": record["kl"]}
    assert record["samples"] == 10
    assert record["active_units"] == 2
    assert record["stderr"] == found.evidence.mean_stderr


def test_the_posterior_mean_is_found_row_by_row(truth: LinearGaussian, model: VAE) -> None:
    x = truth.evidence.sample((2500,))
    means = posterior_means(model, Batch(x.float()), "z")
    torch.testing.assert_close(means, truth.inexact.at(x).mean.float(), rtol=1e-4, atol=1e-4)


def test_a_coordinate_is_active_by_the_variance_of_its_mean() -> None:
    means = torch.tensor([[0.0, 1.0, 0.2], [0.0, -1.0, 0.0], [0.0, 3.0, 0.1]])
    use = activity(means)
    torch.testing.assert_close(use.variance, torch.tensor([0.0, 4.0, 0.01], dtype=torch.float64), rtol=1e-6, atol=1e-9)
    assert use.active.tolist()[:2] == [False, True]
    assert use.ranking == [1, 2, 0]


def test_the_activity_of_maps_is_that_of_each_of_their_values() -> None:
    assert activity(torch.randn(50, 2, 3, 3)).units == 18


def test_a_single_row_can_be_evaluated(truth: LinearGaussian, model: VAE) -> None:
    record = evaluate(model, resident(truth.evidence.sample((1,))), samples=10).as_record()
    assert record["rows"] == 1
    assert record["active_units"] == 0
    assert record["rows_stderr"] is None
    assert math.isfinite(record["log_evidence"])


def test_evaluation_changes_nothing_in_the_model() -> None:
    model, _ = build("vae", (6,), latent=2, hidden=(8,), normalisation="batch")
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, resident(torch.rand(20, 6)), samples=3)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
