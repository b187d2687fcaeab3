"""A model that reads labels is told them in every use."""

from __future__ import annotations

import pytest
import torch

import vaekit
from vaekit.data import Dataset


@pytest.fixture(scope="module")
def fitted() -> vaekit.FittedVAE:
    """A conditional VAE of rows that are dark for label 0 and bright for label 1."""
    y = torch.arange(400) % 2
    x = (torch.rand(400, 6) < 0.1 + 0.8 * y.unsqueeze(1)).float()
    model, objective = vaekit.build("cvae", (6,), latent=2, hidden=(16,), labels=2)
    settings = {"max_epochs": 25, "batch_size": 20, "learning_rate": 0.01, "validation": 0.0, "verbose": False}
    return vaekit.fit(model, objective, Dataset(x, y), device="cpu", **settings)


def test_samples_are_of_the_labels_asked_for(fitted: vaekit.FittedVAE) -> None:
    bright, dark = (fitted.sample(500, labels=torch.full((500,), label)).mean() for label in (1, 0))
    assert bright > 0.8
    assert dark < 0.2
    turns = fitted.sample(500).mean(1)
    assert turns[1::2].mean() > 0.8 > 0.2 > turns[0::2].mean()


def test_evidence_and_reconstruction_know_the_labels(fitted: vaekit.FittedVAE) -> None:
    y = torch.arange(200) % 2
    x = (torch.rand(200, 6) < 0.1 + 0.8 * y.unsqueeze(1)).float()
    told, mistold = Dataset(x, y), Dataset(x, 1 - y)
    assert fitted.log_evidence(told, 50).mean > fitted.log_evidence(mistold, 50).mean + 1
    assert fitted.evaluate(told, 5).terms.elbo > fitted.evaluate(mistold, 5).terms.elbo + 1
    error = [(fitted.reconstruct(rows) - x).square().mean() for rows in (told, mistold)]
    assert error[0] < error[1]


def test_rows_without_labels_are_refused(fitted: vaekit.FittedVAE) -> None:
    with pytest.raises(vaekit.DataError, match="give them labels"):
        fitted.encode(torch.zeros(3, 6))
    with pytest.raises(vaekit.DataError, match="2 labels for 3 examples"):
        fitted.sample(3, labels=[0, 1])
