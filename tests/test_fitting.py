"""`fit`: the same seed gives the same model, and bad input is refused before training starts."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vaekit.common.errors import DataError, TrainingDiverged, UsageError, VaekitError
from vaekit.core import VAE, Latent, Parametric
from vaekit.data import Dataset, Splits, Static
from vaekit.families import Bernoulli, ContinuousBernoulli, Learned, Normal
from vaekit.fitting import fit, held_out_rows
from vaekit.model import FittedVAE
from vaekit.objectives import Elbo, Linear
from vaekit.priors import standard_normal
from vaekit.recipes import build


def bits(n: int = 40) -> Tensor:
    return (torch.rand(n, 6) < 0.3).float()


def quick(rows: Any, *, recipe: str = "vae", model_seed: int = 0, **settings: Any) -> FittedVAE:
    model, objective = build(recipe, (6,), latent=2, hidden=(8,), seed=model_seed)
    return fit(model, objective, rows, **{"max_epochs": 2, "verbose": False, **settings})


def state(fitted: FittedVAE) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in fitted.model.parameters()])


@pytest.mark.parametrize("binarize", [None, "dynamic", "static", "threshold"])
def test_the_same_seed_gives_the_same_model_to_the_bit(binarize: str | None) -> None:
    rows = torch.rand(50, 6)
    first, second = (quick(rows, binarize=binarize, seed=3) for _ in range(2))
    assert torch.equal(state(first), state(second))
    assert [epoch.train for epoch in first.history] == [epoch.train for epoch in second.history]
    assert not torch.equal(state(quick(rows, binarize=binarize, seed=4)), state(first))


def test_the_seed_of_a_build_is_that_of_its_weights() -> None:
    before = torch.random.get_rng_state()
    first, second, third = (build("vae", (6,), seed=seed).model for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [torch.cat([weight.flatten() for weight in model.parameters()]) for model in (first, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("binarize", [None, "dynamic", "static"])
def test_fitting_leaves_the_global_generators_alone(binarize: str | None) -> None:
    rows = torch.rand(50, 6)
    before, before_numpy = torch.random.get_rng_state(), np.random.get_state()[1]
    quick(rows, binarize=binarize)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], before_numpy)


def test_a_seed_on_the_cpu_is_no_business_of_any_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.manual_seed` would seed all of them, and nobody would give their state back."""
    asked: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", asked.append)
    quick(bits(), max_epochs=1).sample(2)
    assert not asked


def test_rows_may_come_in_any_form() -> None:
    rows = bits()
    forms = [rows, rows.numpy(), rows.tolist(), rows.bool(), Dataset(rows), Splits(Dataset(rows), None, "bits", "here")]
    states = [state(quick(form)) for form in forms]
    assert all(torch.equal(states[0], other) for other in states[1:])


def test_rows_of_a_test_split_are_not_trained_on() -> None:
    rows = bits()
    splits = Splits(Dataset(rows), Dataset(1 - rows), "bits", "here")
    assert torch.equal(state(quick(splits)), state(quick(rows)))


def test_the_rows_held_out_are_those_it_says() -> None:
    """And none of them is trained on: poison there is seen only when they are evaluated."""
    rows = Dataset(torch.randn(30, 6))
    held_out = held_out_rows(rows, 0.2, seed=7)
    assert held_out is not None
    assert len(held_out) == 6
    model, objective = build("sigma_vae", (6,), latent=2, hidden=(8,))
    fitted = fit(model, objective, rows, max_epochs=1, validation=0.2, seed=7, verbose=False)
    assert fitted.history[0].examples == 24
    assert held_out_rows(rows, 0.0, seed=7) is None


def test_its_record_can_be_written_to_a_file() -> None:
    fitted = quick(bits(), learning_rate=Linear(1e-3, 1e-4, 10), optimizer=torch.optim.SGD, binarize=Static(3))
    record = json.loads(json.dumps(dict(fitted.about.training)))
    assert record["seed"] == 0
    assert record["epochs"] == 2
    assert record["examples"] == 40
    assert record["learning_rate"].startswith("Linear(")
    assert set(record["versions"]) == {"vaekit", "torch", "numpy", "python"}


@pytest.mark.parametrize(
    ("rows", "binarize", "is_likelihood"),
    [
        (bits(), None, True),
        (torch.full((40, 6), 0.3), None, False),
        (torch.full((40, 6), 0.3), "dynamic", True),
        (torch.full((40, 6), 0.3), "static", True),
        (torch.full((40, 6), 127, dtype=torch.uint8), None, False),
        (torch.full((40, 6), 255, dtype=torch.uint8), None, True),
        (torch.cat([torch.ones(9000, 6), torch.full((1, 6), 0.3)]), None, False),
    ],
    ids=["bits", "greys", "dynamic", "static", "grey bytes", "white bytes", "one grey row, last of many"],
)
def test_greys_under_a_bernoulli_are_no_likelihood(rows: Tensor, binarize: str | None, is_likelihood: bool) -> None:
    fitted = quick(rows, binarize=binarize, max_epochs=1, batch_size=3000)
    assert fitted.about.density.is_likelihood == is_likelihood


def test_training_improves_what_is_held_out() -> None:
    fitted = quick((torch.rand(300, 6) < torch.tensor([0.9, 0.1, 0.5, 0.95, 0.05, 0.2])).float(), max_epochs=30)
    held_out = [epoch.held_out.elbo for epoch in fitted.history if epoch.held_out is not None]
    assert max(held_out) > held_out[0] + 0.5


def with_value(value: float) -> Tensor:
    rows = torch.rand(40, 6)
    rows[17, 3] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (with_value(math.nan), "row 17 of x holds a NaN or infinity"),
        (with_value(math.inf), "row 17 of x holds an infinity"),
        (with_value(2.0), "row 17 of x holds 2, outside what the likelihood explains"),
        (with_value(-0.1), "row 17 of x holds -0.1, outside"),
        (Dataset(with_value(math.nan)), "row 17 of x holds a NaN"),
        (torch.rand(40, 7), r"rows of shape \(7,\), but the model explains \(6,\)"),
        (torch.rand(40, 3, 2), r"rows of shape \(1, 3, 2\), but the model explains \(6,\)"),
        (torch.rand(40), "x has shape"),
        (torch.rand(0, 6), "x is empty"),
        (torch.rand(1, 6), "1 row cannot be parted"),
        ([["a"] * 6] * 9, "numbers"),
    ],
)
def test_rows_that_cannot_be_explained_are_refused(rows: Any, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint) as caught:
        quick(rows)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_no_real_value_either(value: float) -> None:
    with pytest.raises(DataError, match="row 17 of x holds"):
        quick(Dataset(with_value(value)), recipe="sigma_vae")


def test_a_row_far_down_is_named_by_its_own_number() -> None:
    rows = torch.rand(9000, 6)
    rows[8200, 1] = 3.5
    with pytest.raises(DataError, match=r"row 8200 of x holds 3\.5"):
        quick(rows)


@pytest.mark.parametrize("family", [Bernoulli(), ContinuousBernoulli(), Normal(Learned())])
@pytest.mark.parametrize("shape", [(5,), (1, 2, 3), (12,), (1,)])
def test_rows_that_do_not_fit_a_model_composed_by_hand_are_refused(family: Any, shape: tuple[int, ...]) -> None:
    model = VAE(
        Parametric(nn.Linear(2, 6), family, "z"),
        z=Latent(standard_normal(2), Parametric(nn.Linear(6, 4), Normal(), "x")),
    )
    with pytest.raises(DataError, match=r"rows of shape \(") as caught:
        fit(model, Elbo(), torch.rand(40, *shape), max_epochs=1, verbose=False)
    assert "\n" not in str(caught.value)


def test_rows_that_would_be_broadcast_against_a_likelihood_are_refused() -> None:
    """An encoder that takes rows of any length, and a likelihood of six values, which one value would stand for."""

    class Total(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum(-1, keepdim=True).expand(-1, 4)

    model = VAE(
        Parametric(nn.Linear(2, 6), Bernoulli(), "z"),
        z=Latent(standard_normal(2), Parametric(Total(), Normal(), "x")),
    )
    fit(model, Elbo(), torch.rand(40, 6), max_epochs=1, verbose=False)
    with pytest.raises(DataError, match=r"rows of shape \(1,\), but the model explains \(6,\)"):
        fit(model, Elbo(), torch.rand(40, 1), max_epochs=1, verbose=False)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"max_epochs": 0}, "max_epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": -1e-3}, "learning_rate is -0.001"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"clip": -1.0}, "clip is -1"),
        ({"ema": 1.5}, "ema is 1.5"),
        ({"patience": 0}, "patience is 0"),
        ({"validation": 1.0}, "fraction of 1.0"),
        ({"validation": -0.1}, "fraction of -0.1"),
        ({"device": "quantum"}, "device 'quantum' is not there"),
        ({"device": "meta"}, "device 'meta' is not there to compute on: choose auto, cpu"),
        ({"max_epochs": 1.5}, "max_epochs is 1.5: it must be a whole number"),
        ({"batch_size": 20.0}, "batch_size is 20.0: it must be a whole number"),
        ({"patience": 2.5}, "patience is 2.5: it must be a whole number"),
        ({"optimizer": "adm"}, "unknown optimizer 'adm': did you mean 'adam'"),
        ({"binarize": "dynamik"}, "unknown binarisation 'dynamik': did you mean 'dynamic'"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        quick(bits(), **settings)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_run_that_diverges_says_where() -> None:
    with pytest.raises(TrainingDiverged, match="epoch 1") as caught:
        quick(torch.randn(40, 6), recipe="sigma_vae", learning_rate=1e30, max_epochs=5)
    assert caught.value.exit_code == 1
    assert isinstance(caught.value, VaekitError)
