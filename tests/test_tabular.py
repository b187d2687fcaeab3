"""Tables from a frame to a fitted model and back, whatever the recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import vaekit
from vaekit.common.errors import DataError, UsageError
from vaekit.data import Dataset
from vaekit.data.tables.rows import table_rows
from vaekit.model import FittedVAE
from vaekit.recipes.forms import ArrayForm, TableForm, form_of_config
from vaekit.tabular import form_of

N = 600


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """Heights hang on the team, and half of the reds are members; some cells are missing."""
    random = np.random.default_rng(0)
    team = random.integers(0, 3, N)
    height = 150.0 + 20 * team + random.normal(size=N)
    member = np.where(team == 0, random.random(N) < 0.5, team == 2)
    frame = pd.DataFrame(
        {
            "team": pd.Categorical.from_codes(team, ["red", "green", "blue"]),
            "height": np.round(height, 1),
            "member": np.where(member, "yes", "no"),
            "born": pd.to_datetime("1950-01-01") + pd.to_timedelta(random.integers(0, 20_000, N), unit="D"),
        }
    )
    frame.loc[frame.index[:40], "height"] = np.nan
    frame.loc[frame.index[30:70], "team"] = None
    return frame


@pytest.fixture(scope="module")
def fitted(people: pd.DataFrame) -> FittedVAE:
    """A model of these people."""
    model = {"latent": 3, "hidden": (64,), "samples": 10}
    training = {"max_epochs": 150, "patience": 150, "learning_rate": 3e-3}
    return vaekit.fit_table(people, recipe="iwae", model=model, verbose=False, **training)


def test_samples_have_the_types_and_the_laws_of_the_table(fitted: FittedVAE, people: pd.DataFrame) -> None:
    made = fitted.sample(4000, seed=1)
    assert (made.dtypes == people.dtypes).all()
    shares = made["team"].value_counts(normalize=True)
    assert (shares - people["team"].value_counts(normalize=True)).abs().max() < 0.08
    means = made.groupby("team", observed=True)["height"].mean()
    assert (means - pd.Series({"red": 150.0, "green": 170.0, "blue": 190.0})).abs().max() < 3


def test_given_columns_stay_and_the_others_follow(fitted: FittedVAE) -> None:
    made = fitted.sample(300, given={"team": "blue", "member": "yes"}, seed=2)
    assert (made["team"] == "blue").all()
    assert (made["member"] == "yes").all()
    assert made["height"].mean() == pytest.approx(190, abs=2)
    assert made["height"].std() < 9


def test_holes_are_filled_by_what_the_rest_says(fitted: FittedVAE, people: pd.DataFrame) -> None:
    filled = fitted.complete(people, 200)
    assert not filled.isna().any().any()
    assert filled.where(people.notna()).equals(people.where(people.notna()))
    expected = people["team"].iloc[:30].map({"red": 150.0, "green": 170.0, "blue": 190.0}).astype(float)
    assert (filled["height"].iloc[:30] - expected).abs().mean() < 4
    by_height = np.select([people["height"][40:70] < 160, people["height"][40:70] > 180], ["red", "blue"], "green")
    assert (filled["team"].iloc[40:70].astype(str).to_numpy() == by_height).mean() > 0.9


def test_a_row_that_contradicts_itself_is_among_the_oddest_by_the_column_that_does(
    fitted: FittedVAE, people: pd.DataFrame
) -> None:
    odd = people.dropna().head(50).reset_index(drop=True)
    odd.loc[7, ["team", "height"]] = ["red", 191.0]
    scores = fitted.score(odd)
    assert 7 in scores.topk(2).indices  # of the others one is rare by itself
    places = [column.name for column in fitted.about.schema.modelled] if fitted.about.schema else []
    share = fitted.shares(odd)
    assert torch.allclose(share.total, scores, atol=1e-3)
    strange = (share.columns[7] - share.columns.mean(0)).argmax()
    assert places[int(strange)] in {"team", "height"}
    assert float(fitted.p_values(odd, people.dropna().tail(200))[7]) < 0.02


def test_a_saved_table_model_answers_the_same(fitted: FittedVAE, people: pd.DataFrame, tmp_path: Path) -> None:
    again = vaekit.load_model(fitted.save(tmp_path / "model"))
    assert again.sample(20, seed=3).equals(fitted.sample(20, seed=3))
    assert torch.equal(again.score(people.head(5)), fitted.score(people.head(5)))


def test_numbers_and_frames_are_two_views_of_the_same(fitted: FittedVAE, people: pd.DataFrame) -> None:
    rows = people.dropna().head(5)
    assert isinstance(fitted.in_numbers().reconstruct(fitted.rows(rows)), torch.Tensor)
    assert list(fitted.reconstruct(rows).columns) == list(people.columns)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="team"), "'team' is missing"),
        (lambda frame: frame.assign(weight=1.0), "'weight' is new"),
        (lambda frame: frame.assign(member="perhaps"), "perhaps"),
        (lambda frame: frame.assign(height="tall"), "height"),
        (lambda frame: frame.assign(height=np.inf), "height"),
    ],
)
def test_rows_that_do_not_fit_are_named(fitted: FittedVAE, people: pd.DataFrame, change: object, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        fitted.score(change(people.dropna().head(3)))  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_columns_given_to_a_model_of_arrays_are_refused() -> None:
    rows = torch.rand(40, 3)
    fitted = vaekit.fit(*vaekit.build("vae", (3,), latent=1), rows, max_epochs=1, verbose=False)
    with pytest.raises(UsageError, match="model of a table"):
        fitted.sample(2, given={"height": 1.0})


@pytest.mark.parametrize(
    "recipe",
    ["vae", "beta_vae", "iwae", "dreg", "trimmed_vae", "hvae", "ladder_vae", "flow_prior_vae", "exemplar_vae", "gm_vae",
     "info_vae", "ae", "m1", "vade", "not_miwae", "hyperspherical_vae", "factor_vae"],
)  # fmt: skip
def test_every_kind_of_recipe_learns_a_table(recipe: str, people: pd.DataFrame) -> None:
    rows = table_rows(people)
    model, objective = vaekit.build(recipe, form_of(rows), latent=4, hidden=(32,), seed=0)
    fitted = vaekit.fit(model, objective, rows, max_epochs=12, learning_rate=3e-3, patience=12, verbose=False)
    first, last = fitted.history[0], max(fitted.history, key=lambda epoch: epoch.score)
    assert last.score > first.score


def test_a_vamp_prior_over_a_table_is_refused(people: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="exemplar_vae"):
        vaekit.build("vamp_vae", form_of(table_rows(people)), latent=2)


def test_a_likelihood_for_arrays_is_refused_for_a_table(people: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="in its schema"):
        vaekit.build("vae", form_of(table_rows(people)), latent=2, likelihood="normal")


def test_forms_come_back_from_a_file(people: pd.DataFrame) -> None:
    for form in (form_of(table_rows(people)), ArrayForm((1, 4, 4), holes=True), ArrayForm((3,))):
        assert form_of_config(form.to_config()) == form
    assert isinstance(form_of(table_rows(people)), TableForm)


def test_rows_with_holes_train_as_arrays_and_the_holes_do_not_count() -> None:
    torch.manual_seed(0)
    x = torch.randn(500, 1) @ torch.ones(1, 4) + 0.1 * torch.randn(500, 4)
    holed = x.masked_fill(torch.rand(500, 4, generator=torch.Generator().manual_seed(1)) < 0.3, torch.nan)
    form = form_of(Dataset(holed))
    assert form == ArrayForm((4,), holes=True)
    built = vaekit.build("iwae", form, latent=1, hidden=(32,), likelihood="normal_per_dimension", samples=5)
    fitted = vaekit.fit(*built, holed, max_epochs=60, learning_rate=3e-3, patience=60, verbose=False)
    errors = (fitted.complete(holed, 200) - x)[holed.isnan()]
    assert float(errors.square().mean()) < 0.15
