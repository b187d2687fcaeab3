"""`FittedVAE`: seeds, the scale of its data, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vaekit.common.errors import DataError, UsageError
from vaekit.common.seeds import seeded
from vaekit.data import Dataset
from vaekit.fitting import fit
from vaekit.model import FittedVAE
from vaekit.objectives import Elbo
from vaekit.recipes import build


def stripes(n: int) -> Tensor:
    """Images of 1 x 6 x 6 with bright rows or bright columns, as bytes."""
    kind, at = torch.randint(2, (n,)), torch.randint(6, (n,))
    images = torch.full((n, 6, 6), 10, dtype=torch.uint8)
    for image, upright, place in zip(images, kind, at, strict=True):
        image[place if upright else slice(None), slice(None) if upright else place] = 245
    return images.unsqueeze(1)


@pytest.fixture(scope="module")
def fitted() -> FittedVAE:
    with seeded(0):
        rows = stripes(600)
    model, _ = build("vae", (1, 6, 6), latent=8, hidden=(64,))
    return fit(model, Elbo(), rows, max_epochs=40, batch_size=50, learning_rate=5e-3, validation=0, verbose=False)


@pytest.fixture(scope="module")
def dynamic() -> FittedVAE:
    with seeded(0):
        rows = stripes(60)
    model, objective = build("vae", (1, 6, 6), latent=3, hidden=(16,))
    return fit(model, objective, rows, max_epochs=2, binarize="dynamic", verbose=False)


def test_a_trained_model_reconstructs_better_than_the_mean_image(fitted: FittedVAE) -> None:
    rows = stripes(200)
    x = rows.float() / 255
    error = (fitted.reconstruct(rows) - x).square().mean()
    assert float(error) < 0.3 * float((x - x.mean(0)).square().mean())


def test_a_trained_model_samples_what_it_was_trained_on(fitted: FittedVAE) -> None:
    """The brightness of the data, and stripes: most of a sample's light is in one row or one column."""
    samples, x = fitted.sample(400, mean=True), stripes(400).float() / 255
    assert float(samples.mean()) == pytest.approx(float(x.mean()), rel=0.15)
    brightest = torch.maximum(samples.squeeze(1).mean(1).amax(1), samples.squeeze(1).mean(2).amax(1))
    assert float(brightest.mean()) > 0.6


def test_bytes_and_greys_are_the_same_rows(fitted: FittedVAE) -> None:
    rows = stripes(20)
    greys = rows.float() / 255
    for same in (greys, greys.squeeze(1), greys.numpy(), Dataset(rows), rows.numpy()):
        torch.testing.assert_close(fitted.encode(same), fitted.encode(rows))


DRAWING: dict[str, Callable[[FittedVAE, int], Any]] = {
    "sample": lambda fitted, seed: fitted.sample(5, seed=seed),
    "encode_draws": lambda fitted, seed: fitted.encode_draws(stripes(4), 3, seed=seed),
    "log_evidence": lambda fitted, seed: fitted.log_evidence(stripes(4), 5, seed=seed).log_evidence,
    "evaluate": lambda fitted, seed: torch.tensor(fitted.evaluate(stripes(4), 5, seed=seed).evidence.mean),
    "encode": lambda fitted, seed: fitted.encode(stripes(4), seed=seed),
    "reconstruct": lambda fitted, seed: fitted.reconstruct(stripes(4), seed=seed),
    "decode": lambda fitted, seed: fitted.decode(torch.zeros(2, 3), seed=seed),
    "interpolate": lambda fitted, seed: fitted.interpolate(stripes(2), stripes(2), steps=3, seed=seed),
}


@pytest.mark.parametrize("use", DRAWING.values(), ids=DRAWING)
def test_a_seed_is_all_that_a_use_depends_on(use: Callable[[FittedVAE, int], Tensor], dynamic: FittedVAE) -> None:
    state = torch.random.get_rng_state()
    first = use(dynamic, 3)
    torch.random.set_rng_state(state)
    torch.rand(7)
    stripes(0)
    torch.random.set_rng_state(state)
    assert torch.equal(use(dynamic, 3), first)


@pytest.mark.parametrize("name", ["sample", "encode_draws", "log_evidence", "evaluate", "encode", "reconstruct"])
def test_another_seed_gives_other_draws(name: str, dynamic: FittedVAE) -> None:
    """Encodings differ too, where each look at a row binarises it afresh."""
    state = torch.random.get_rng_state()
    first = DRAWING[name](dynamic, 3)
    torch.random.set_rng_state(state)
    assert not torch.equal(DRAWING[name](dynamic, 4), first)


def test_no_use_touches_the_global_generators(dynamic: FittedVAE) -> None:
    rows = stripes(4)
    before, before_numpy = torch.random.get_rng_state(), np.random.get_state()[1]
    dynamic.sample(3)
    dynamic.encode(rows)
    dynamic.encode_draws(rows, 2)
    dynamic.decode(torch.zeros(2, 3))
    dynamic.reconstruct(rows)
    dynamic.interpolate(rows, rows)
    dynamic.log_evidence(rows, 3)
    dynamic.evaluate(rows, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], before_numpy)


def test_what_comes_out_is_on_the_scale_of_the_model(fitted: FittedVAE) -> None:
    rows = stripes(5)
    for found in (fitted.sample(5, mean=True), fitted.reconstruct(rows), fitted.decode(torch.zeros(5, 8))):
        assert found.shape == (5, 1, 6, 6)
        assert found.dtype == torch.float32
        assert float(found.min()) >= 0
        assert float(found.max()) <= 1
    assert set(fitted.sample(5).unique().tolist()) == {0.0, 1.0}


def test_a_reconstruction_is_the_decoded_code(fitted: FittedVAE) -> None:
    rows = stripes(5)
    torch.testing.assert_close(fitted.reconstruct(rows), fitted.decode(fitted.encode(rows)))


@pytest.mark.parametrize("path", ["spherical", "linear"])
@pytest.mark.parametrize("steps", [2, 8, 10])
def test_an_interpolation_starts_and_ends_at_the_reconstructions(fitted: FittedVAE, path: str, steps: int) -> None:
    """Eight steps are as many as there are coordinates."""
    start, end = stripes(4), stripes(4)
    way = fitted.interpolate(start, end, steps=steps, path=path)
    assert way.shape == (4, steps, 1, 6, 6)
    torch.testing.assert_close(way[:, 0], fitted.reconstruct(start), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(way[:, -1], fitted.reconstruct(end), rtol=1e-3, atol=1e-4)


def test_the_mean_of_drawn_codes_is_the_code(fitted: FittedVAE) -> None:
    rows = stripes(3)
    draws = fitted.encode_draws(rows, 4000)
    assert draws.shape == (4000, 3, 8)
    error = 5 * draws.std(0) / 4000**0.5
    assert ((draws.mean(0) - fitted.encode(rows)).abs() <= error).all()


def test_the_evidence_of_held_out_rows_is_above_the_elbo(fitted: FittedVAE) -> None:
    found = fitted.evaluate(stripes(100), samples=100)
    assert found.evidence.mean > found.terms.elbo
    assert found.active_units >= 2


@pytest.mark.parametrize("shape", [(5, 36), (5, 1, 7, 7), (5, 6, 7), (5, 3, 6, 6)])
def test_rows_of_another_shape_are_refused(fitted: FittedVAE, shape: tuple[int, ...]) -> None:
    for use in (fitted.encode, fitted.reconstruct, fitted.log_evidence, fitted.evaluate):
        with pytest.raises(DataError, match=r"the model explains \(1, 6, 6\)"):
            use(torch.rand(shape))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_rows_with_no_number_in_them_are_refused(fitted: FittedVAE, value: float) -> None:
    rows = torch.rand(5, 6, 6)
    rows[3, 2, 2] = value
    with pytest.raises(DataError, match="row 3"):
        fitted.encode(rows)


def test_greys_out_of_range_cannot_be_binarised(dynamic: FittedVAE) -> None:
    rows = torch.rand(5, 6, 6)
    rows[2, 0, 0] = 2.0
    with pytest.raises(DataError, match="row 2"):
        dynamic.encode(rows)


@pytest.mark.parametrize(
    ("use", "complaint"),
    [
        (lambda fitted: fitted.sample(0), "0 samples"),
        (lambda fitted: fitted.encode_draws(stripes(2), 0), "0 draws"),
        (lambda fitted: fitted.encode(stripes(2), latent="y"), "unknown latent 'y': the model has z"),
        (lambda fitted: fitted.decode(torch.zeros(2, 8), latent="y"), "unknown latent 'y'"),
        (lambda fitted: fitted.interpolate(stripes(2), stripes(2), steps=1), "1 steps"),
        (lambda fitted: fitted.interpolate(stripes(2), stripes(2), path="sperical"), "did you mean 'spherical'"),
        (lambda fitted: fitted.log_evidence(stripes(2), 0), "0 samples"),
    ],
)
def test_a_wrong_call_is_refused(fitted: FittedVAE, use: Callable[[FittedVAE], Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        use(fitted)


@pytest.mark.parametrize("shape", [(2, 7), (8,), (2, 8, 1)])
def test_codes_of_another_shape_are_refused(fitted: FittedVAE, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"the latent 'z' has \(8,\)"):
        fitted.decode(torch.zeros(shape))


def test_ends_that_do_not_pair_are_refused(fitted: FittedVAE) -> None:
    with pytest.raises(DataError, match="3 rows to start from but 2 to end at"):
        fitted.interpolate(stripes(3), stripes(2))
