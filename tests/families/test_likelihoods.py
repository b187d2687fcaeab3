"""Every likelihood of the registry under a VAE: it trains on data of its own kind and explains them better for it."""

from __future__ import annotations

import pytest
import torch
from torch import Size, Tensor

import vaekit
from vaekit.families import LIKELIHOODS

EVENT = Size((6,))


def rows_of(likelihood: str, n: int = 512) -> Tensor:
    """Rows (n, *EVENT) of two kinds, drawn from the family itself at two settings of its parameters."""
    family = LIKELIHOODS[likelihood](EVENT)
    kinds = 1.5 * torch.randn(1, 2, *family.params_shape(EVENT))
    with torch.no_grad():
        return family(kinds.repeat(1, n // 2, *[1] * len(EVENT))).sample().squeeze(0)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_vae_learns_data_of_every_kind(likelihood: str) -> None:
    rows = rows_of(likelihood)
    assert LIKELIHOODS[likelihood](EVENT).support.check(rows).all()
    model, objective = vaekit.build("vae", EVENT, latent=2, hidden=(32,), likelihood=likelihood)
    fitted = vaekit.fit(model, objective, rows, max_epochs=6, batch_size=32, learning_rate=3e-3, verbose=False)
    elbo = [epoch.train.elbo for epoch in fitted.history]
    assert elbo[-1] > elbo[0]
    assert fitted.about.density.is_likelihood
    evaluation = fitted.evaluate(rows[:64], samples=5)
    assert evaluation.evidence.log_evidence.isfinite().all()
    assert fitted.reconstruct(rows[:4]).isfinite().all()
    assert fitted.sample(4).shape == (4, *EVENT)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_float32_and_float64_agree(likelihood: str) -> None:
    family = LIKELIHOODS[likelihood](EVENT)
    params = torch.randn(1, 3, *family.params_shape(EVENT))
    x = family(params).expand(Size((4, 3))).sample()
    if family.density(x).kind.startswith("lower bound"):
        pytest.skip("its log_prob is a draw")
    single, double = family(params).log_prob(x), family.double()(params.double()).log_prob(x.double())
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_no_value_is_read_back_and_no_device_is_taken_for_granted(likelihood: str) -> None:
    """On the meta device a step that needs a value on the host, or mixes in a tensor of the CPU, fails."""
    family = LIKELIHOODS[likelihood](EVENT).to("meta")
    params = torch.empty(2, 3, *family.params_shape(EVENT), device="meta", requires_grad=True)
    x = torch.empty(1, 3, *EVENT, device="meta")
    log_prob = family(params).log_prob(x)
    assert log_prob.shape == (2, 3)
    log_prob.sum().backward()
    assert family(params).mean.device == family.support.check(x).device == x.device
