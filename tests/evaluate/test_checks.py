"""Predictive checks and simulation-based calibration, on models whose truth is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.linear_gaussian import LinearGaussian, LinearNormal, TwoLevels
from core.statistics import SIGMAS
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Fixed, Latent
from vaekit.evaluate import calibration, posterior_replicate, predictive_check, prior_replicate
from vaekit.recipes import build

REPLICATES = [posterior_replicate, prior_replicate]


@pytest.fixture
def truth() -> LinearGaussian:
    return LinearGaussian.random()


def deviations(x: Tensor) -> Tensor:
    return x.std(0)


@pytest.mark.parametrize("replicate", REPLICATES)
def test_data_of_the_model_pass(truth: LinearGaussian, replicate: object) -> None:
    model = truth.model(truth.exact.full_normal("x"))
    found = predictive_check(model, truth.evidence.sample((400,)), deviations, 99, replicate)  # type: ignore[arg-type]
    assert found.replicated.shape == (99, 4)
    assert (found.two_sided > 0.02).all()


@pytest.mark.parametrize("replicate", REPLICATES)
def test_data_that_are_too_wide_fail_on_the_right_side(truth: LinearGaussian, replicate: object) -> None:
    model = truth.model(LinearNormal(0 * truth.exact.A, truth.exact.b, truth.exact.L).full_normal("x"))
    x = truth.evidence.sample((400,))
    wide, narrow = 3 * x, 0.05 * x
    check = [predictive_check(model, other, deviations, 99, replicate) for other in (wide, narrow)]  # type: ignore[arg-type]
    assert (check[0].p_value == 0.01).all()
    assert (check[0].two_sided == 0.02).all()
    assert (check[1].p_value == 1).all()
    assert (check[1].two_sided == 0.02).all()


def test_a_posterior_replicate_keeps_the_latents_of_its_row(truth: LinearGaussian) -> None:
    """Its mean, given x, is W E[z | x] + b; a prior replicate's is b."""
    model = truth.model(truth.exact.full_normal("x"))
    x = truth.evidence.sample((1,)).repeat(40_000, 1)
    z = truth.exact.at(x[:1])
    for replicate, mean in ((posterior_replicate, z.mean[0] @ truth.W.T + truth.b), (prior_replicate, truth.b)):
        with torch.no_grad():
            made = replicate(model, x, {})
        assert ((made.mean(0) - mean).abs() <= SIGMAS * made.std(0) / 200).all()


def test_p_values_against_new_rows_are_uniform(truth: LinearGaussian) -> None:
    model = truth.model(truth.exact.full_normal("x"))
    p_values = torch.stack(
        [
            predictive_check(model, truth.evidence.sample((30,)), deviations, 19, prior_replicate).p_value
            for _ in range(100)
        ]
    )
    assert float(p_values.mean()) == pytest.approx(0.525, abs=0.1)
    assert float(p_values.std()) == pytest.approx(0.2887, abs=0.06)


def calibrated(truth: LinearGaussian, posterior: LinearNormal, simulations: int = 2000) -> tuple[Tensor, Tensor]:
    found = calibration(truth.model(posterior.full_normal("x")), simulations)["z"]
    return found.p_value, found.counts


def test_the_exact_posterior_is_calibrated(truth: LinearGaussian) -> None:
    p_value, counts = calibrated(truth, truth.exact)
    assert (p_value > 1e-3).all()
    assert (counts.sum(-1) == 2000).all()


def test_p_values_of_the_exact_posterior_are_uniform(truth: LinearGaussian) -> None:
    wide = LinearGaussian.random(dimensions=8, latents=60)
    p_value, _ = calibrated(wide, wide.exact, simulations=400)
    assert float(p_value.mean()) == pytest.approx(0.5, abs=SIGMAS * 0.2887 / 60**0.5)
    assert float(p_value.min()) > 1e-4


@pytest.mark.parametrize(("width", "ends"), [(0.6, "heavy"), (1.8, "light")])
def test_a_posterior_of_the_wrong_width_shows_in_the_ends(truth: LinearGaussian, width: float, ends: str) -> None:
    off = LinearNormal(truth.exact.A, truth.exact.b, width * truth.exact.L)
    p_value, counts = calibrated(truth, off)
    assert (p_value < 1e-6).all()
    ratio = (counts[:, 0] + counts[:, -1]).double() / counts[:, 7:9].sum(1)
    assert (ratio > 1.5).all() if ends == "heavy" else (ratio < 0.7).all()


def test_a_posterior_that_is_off_to_a_side_shows_a_slope(truth: LinearGaussian) -> None:
    shift = truth.exact.covariance.diagonal().sqrt()
    p_value, counts = calibrated(truth, LinearNormal(truth.exact.A, truth.exact.b + shift, truth.exact.L))
    assert (p_value < 1e-6).all()
    assert (counts[:, 0] > 3 * counts[:, -1]).all()  # the draws are too large, the truth ranks low


def test_each_latent_of_a_hierarchy_is_judged() -> None:
    truth = TwoLevels.random()
    found = calibration(truth.exact_top_down(), 800)
    assert {name: tuple(one.p_value.shape) for name, one in found.items()} == {"z2": (2,), "z1": (3,)}
    assert all(one.smallest_p_value > 1e-3 for one in found.values())


def test_ties_are_broken_evenly() -> None:
    """Bits that the posterior draws from the prior, whatever x: exact where x tells nothing of them."""
    bits = Fixed(torch.distributions.Bernoulli, probs=torch.tensor([0.2, 0.5]))
    silent = build("vae", (3,), latent=2).model.likelihood
    for parameter in silent.parameters():
        torch.nn.init.zeros_(parameter)
    found = calibration(VAE(silent, z=Latent(bits, bits)), 2000)["z"]
    assert (found.p_value > 1e-3).all()


def test_the_smallest_p_value_is_corrected_for_the_number_of_coordinates(truth: LinearGaussian) -> None:
    found = calibration(truth.model(truth.exact.full_normal("x")), 200)["z"]
    assert found.smallest_p_value == pytest.approx(min(1.0, 2 * float(found.p_value.min())))


def test_what_cannot_be_judged_is_refused(truth: LinearGaussian) -> None:
    model = truth.model(truth.exact.full_normal("x"))
    with pytest.raises(UsageError, match="64 ranks, which 10 bins"):
        calibration(model, bins=10)
    with pytest.raises(UsageError, match="at least 80"):
        calibration(model, simulations=50)
    with pytest.raises(UsageError, match="at least 1"):
        predictive_check(model, torch.zeros(3, 4), deviations, replicates=0)
