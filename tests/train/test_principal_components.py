"""A trained linear VAE is probabilistic PCA, whose maximum likelihood is known in closed form.

Sources: Tipping and Bishop, 1999; Lucas, Tucker, Grosse and Norouzi, 2019 (for a diagonal posterior).
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from core.linear_gaussian import LinearGaussian
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Latent, Parametric
from vaekit.data import Dataset, Encoding, Greys
from vaekit.families import Learned, Normal, Predicted, positive
from vaekit.objectives import Cosine, Elbo
from vaekit.priors import standard_normal
from vaekit.train import Resident, Settings, train

ROWS, DIMENSIONS, LATENTS = 200, 5, 2
TOLERANCE = 0.005
"""Nats per example."""


def best_log_likelihood(x: Tensor) -> tuple[float, float]:
    """The mean log-likelihood at the maximum, and the noise's standard deviation there."""
    values = torch.linalg.eigvalsh(x.T.cov(correction=0)).flip(0)
    kept, left = values[:LATENTS], values[LATENTS:].mean()
    log_det = float(kept.log().sum() + (DIMENSIONS - LATENTS) * left.log())
    return -0.5 * (DIMENSIONS * math.log(2 * math.pi) + log_det + DIMENSIONS), float(left.sqrt())


def linear_vae() -> VAE:
    encoder = Parametric(nn.Linear(DIMENSIONS, 2 * LATENTS), Normal(Predicted()), "x")
    decoder = Parametric(nn.Linear(LATENTS, DIMENSIONS), Normal(Learned()), "z")
    return VAE(decoder, z=Latent(standard_normal(LATENTS), encoder))


def learned(model: VAE) -> LinearGaussian:
    """The linear-Gaussian model that was learned."""
    decoder = model.likelihood
    assert isinstance(decoder, Parametric)
    net, family = decoder.params.net, decoder.family
    assert isinstance(net, nn.Linear)
    assert isinstance(family, Normal)
    assert isinstance(family.scale, Learned)
    scale = float(positive(family.scale.raw.detach()))
    return LinearGaussian(net.weight.detach().double(), net.bias.detach().double(), scale)


@pytest.fixture(scope="module")
def x() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    factors = torch.randn(ROWS, LATENTS, generator=generator) @ torch.randn(LATENTS, DIMENSIONS, generator=generator)
    return 1.0 + factors + 0.5 * torch.randn(ROWS, DIMENSIONS, generator=generator)


@pytest.fixture(scope="module")
def run(x: Tensor) -> tuple[VAE, float]:
    steps = 1500
    with seeded(0):
        model = linear_vae()
    data = Resident(Dataset(x), Encoding(Greys()), ROWS, torch.device("cpu"))
    settings = Settings(max_epochs=steps, batch_size=ROWS, learning_rate=Cosine(0.05, 1e-5, steps))
    trained = train(model, Elbo(samples=4), data, settings=settings)
    last = [epoch.train.elbo for epoch in trained.history[-100:]]
    return trained.model, sum(last) / len(last)


def test_it_reaches_the_maximum_likelihood(run: tuple[VAE, float], x: Tensor) -> None:
    best, noise = best_log_likelihood(x.double())
    found = learned(run[0])
    reached = float(found.evidence.log_prob(x.double()).mean())
    assert best - TOLERANCE < reached <= best + 1e-9
    assert found.s == pytest.approx(noise, rel=0.02)


def test_its_elbo_reaches_it_too(run: tuple[VAE, float], x: Tensor) -> None:
    """The optimum turns the latents to the principal axes, where a diagonal posterior is exact."""
    best, _ = best_log_likelihood(x.double())
    assert run[1] == pytest.approx(best, abs=0.02)
    W = learned(run[0]).W
    cosine = float((W[:, 0] @ W[:, 1]) / (W[:, 0].norm() * W[:, 1].norm()))
    assert abs(cosine) < 0.1


def test_its_covariance_is_that_of_the_data_along_the_principal_axes(run: tuple[VAE, float], x: Tensor) -> None:
    values, axes = torch.linalg.eigh(x.double().T.cov(correction=0))
    principal = axes[:, -LATENTS:]
    found = principal.T @ learned(run[0]).evidence.covariance_matrix @ principal
    torch.testing.assert_close(found, torch.diag(values[-LATENTS:]), rtol=0.05, atol=0.05)
