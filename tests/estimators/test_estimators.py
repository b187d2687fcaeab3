"""What estimators say, beside what is known of data that were made up."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vaekit.common.errors import DataError, UsageError
from vaekit.core import Batch
from vaekit.estimators import (
    PyODFace,
    VAEClassifier,
    VAEClusterer,
    VAEDensity,
    VAEDetector,
    VAEImputer,
    VAEReducer,
    VAESynthesizer,
)
from vaekit.estimators.classifier import is_missing
from vaekit.estimators.fitted import precise
from vaekit.estimators.reading import Arrays
from vaekit.priors import AggregatePosterior
from vaekit.uses.score import scores

Settings = dict[str, Any]
SMALL: Settings = {"hidden": (32,), "batch_size": 64, "learning_rate": 5e-3, "random_state": 0, "device": "cpu"}
QUICK: Settings = {**SMALL, "latent": 2, "hidden": (8,), "max_epochs": 2}
MEAN, CORRELATION, SCALE = 100.0, 0.9, 10.0


@pytest.fixture(scope="module")
def pairs() -> np.ndarray:
    """Two columns of a correlated normal, far from unit scale."""
    random = np.random.default_rng(0)
    covariance = [[1, CORRELATION], [CORRELATION, 1]]
    return MEAN + SCALE * random.multivariate_normal([0, 0], covariance, size=600)


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """A table of mixed columns with holes, in which two columns tell of each other."""
    random = np.random.default_rng(1)
    kind = random.integers(0, 3, 300)
    frame = pd.DataFrame(
        {
            "height": np.round(150 + 20 * kind + random.normal(size=300), 1),
            "team": pd.Categorical(np.array(["red", "green", "blue"])[kind]),
            "member": random.random(300) < 0.5,
        },
        index=np.arange(1000, 1300),
    )
    frame.loc[frame.index[:30], "height"] = np.nan
    frame.loc[frame.index[20:50], "team"] = None
    return frame


def test_codes_of_rank_two_lead_back_to_rows() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(400, 2)) @ random.normal(size=(2, 6)) + 0.05 * random.normal(size=(400, 6))
    reducer = VAEReducer(**SMALL, latent=2, max_epochs=60).fit(rows)
    back = reducer.inverse_transform(reducer.transform(rows))
    assert ((back - rows) ** 2).sum() < 0.1 * ((rows - rows.mean(0)) ** 2).sum()
    assert list(reducer.get_feature_names_out()) == ["vaereducer0", "vaereducer1"]
    with pytest.raises(ValueError, match="codes of 3 coordinates"):
        reducer.inverse_transform(np.zeros((1, 3)))


def test_a_hole_is_filled_by_what_is_expected_given_the_rest(pairs: np.ndarray) -> None:
    holed = pairs.copy()
    holed[:200, 1] = np.nan
    imputer = VAEImputer(**SMALL, latent=2, max_epochs=60)
    filled = imputer.fit_transform(holed)
    expected = MEAN + CORRELATION * (pairs[:200, 0] - MEAN)
    assert np.sqrt(np.mean((filled[:200, 1] - expected) ** 2)) < 0.25 * SCALE
    observed = ~np.isnan(holed)
    assert np.array_equal(filled[observed], holed[observed])
    copies = np.stack(imputer.draws(holed, n_draws=20))
    assert np.array_equal(copies[:, observed], np.broadcast_to(holed[observed], (20, observed.sum())))
    left_over = SCALE * np.sqrt(1 - CORRELATION**2)
    assert copies[:, :200, 1].std(0).mean() == pytest.approx(left_over, rel=0.35)


def test_a_density_is_that_of_the_rows_on_their_own_scale(pairs: np.ndarray) -> None:
    density = VAEDensity(**SMALL, latent=2, max_epochs=60, members=1).fit(pairs)
    covariance = SCALE**2 * np.array([[1, CORRELATION], [CORRELATION, 1]])
    exact = multivariate_normal([MEAN, MEAN], covariance).logpdf(pairs)
    assert density.score(pairs) == pytest.approx(exact.mean(), abs=0.15)
    assert np.corrcoef(density.score_samples(pairs), exact)[0, 1] > 0.9


def test_a_change_of_units_moves_a_density_by_its_jacobian(pairs: np.ndarray) -> None:
    one = VAEDensity(**QUICK, members=1).fit(pairs)
    other = VAEDensity(**QUICK, members=1).fit(1024 * pairs)  # a power of two, so that nothing is rounded
    moved = one.score_samples(pairs) - 2 * np.log(1024)
    assert np.allclose(other.score_samples(1024 * pairs), moved, atol=1e-3)


def test_several_members_are_a_mixture(pairs: np.ndarray) -> None:
    density = VAEDensity(**QUICK, members=2).fit(pairs)
    each = [VAEDensity(**QUICK | {"random_state": seed}, members=1).fit(pairs).score_samples(pairs) for seed in (0, 1)]
    assert np.allclose(density.score_samples(pairs), np.logaddexp(*each) - np.log(2))
    assert len(density.sample(5)) == 5


def test_samples_have_the_moments_of_the_rows(pairs: np.ndarray) -> None:
    made = VAESynthesizer(**SMALL, latent=2, max_epochs=60).fit(pairs).sample(4000)
    assert np.allclose(made.mean(0), pairs.mean(0), atol=0.15 * SCALE)
    assert np.allclose(made.std(0), pairs.std(0), rtol=0.15)
    assert np.corrcoef(made.T)[0, 1] == pytest.approx(CORRELATION, abs=0.1)


def test_made_up_rows_repeat_what_is_repeated_and_keep_to_what_always_holds() -> None:
    random = np.random.default_rng(3)
    grade = random.choice(["low", "middle", "high"], 1500, p=[0.5, 0.3, 0.2])
    years = pd.Series(grade).map({"low": 8, "middle": 12, "high": 16}).to_numpy()
    worked = np.where(random.random(1500) < 0.5, 40, random.normal(38, 8, 1500).round())
    worked = np.where(random.random(1500) < 0.1, 25, worked)
    people = pd.DataFrame({"grade": grade, "years": years, "worked": worked})
    made = VAESynthesizer(**SMALL | {"hidden": (64, 64)}, latent=4, max_epochs=60).fit(people).sample(4000)
    for value in (25, 40):
        assert (made["worked"] == value).mean() == pytest.approx((worked == value).mean(), abs=0.05)
    told = made["grade"].astype(str).map({"low": 8, "middle": 12, "high": 16})
    assert (made["years"].astype(float) == told).mean() > 0.95
    shares = made["grade"].astype(str).value_counts(normalize=True)
    assert shares["low"] == pytest.approx(0.5, abs=0.06)
    assert shares["high"] == pytest.approx(0.2, abs=0.06)


def test_samples_are_those_of_the_seed(pairs: np.ndarray) -> None:
    synthesizer = VAESynthesizer(**QUICK).fit(pairs)
    assert np.array_equal(synthesizer.sample(5), synthesizer.sample(5))
    assert not np.array_equal(synthesizer.sample(5), synthesizer.sample(5, random_state=1))


def test_odd_rows_are_found_and_so_many_as_were_foretold(pairs: np.ndarray) -> None:
    odd = MEAN + SCALE * np.array([[3.0, -3.0], [-3.0, 3.0], [8.0, 8.0]])
    rows = np.concatenate([pairs, odd])
    detector = VAEDetector(**SMALL, latent=1, max_epochs=40, contamination=0.02, members=1).fit(rows)
    assert (detector.predict(odd) == -1).all()
    assert (detector.predict(rows) == -1).sum() == np.ceil(0.02 * len(rows))
    assert np.allclose(detector.decision_function(rows), detector.score_samples(rows) - detector.offset_)


def test_pyods_face_has_the_other_sign(pairs: np.ndarray) -> None:
    detector = VAEDetector(**QUICK, members=1).fit(pairs)
    face = detector.pyod()
    assert np.array_equal(face.decision_scores_, -detector.score_samples(pairs))
    assert np.array_equal(face.predict(pairs) == 1, detector.predict(pairs) == -1)
    assert np.array_equal(face.labels_, face.predict(pairs))
    assert face.labels_.mean() == pytest.approx(face.contamination, abs=1 / len(pairs))
    fresh = PyODFace(clone(detector)).fit(pairs)
    assert np.array_equal(fresh.decision_function(pairs), face.decision_function(pairs))
    assert fresh.threshold_ == face.threshold_


def test_other_scores_by_name(pairs: np.ndarray) -> None:
    found = VAEDetector(**QUICK, by="mahalanobis", members=1).fit(pairs)
    far = found.score_samples([[MEAN, MEAN], [MEAN + 9 * SCALE, MEAN - 9 * SCALE]])
    assert far[1] < far[0]


@pytest.fixture(scope="module")
def clusters() -> np.ndarray:
    """Rows of two narrow clusters on either side of 0, in four columns."""
    random = np.random.default_rng(0)
    return random.normal(size=(400, 4)) + 6 * random.choice([-1.0, 1.0], size=(400, 1))


@pytest.fixture(scope="module")
def novelty(clusters: np.ndarray) -> VAEDetector:
    return VAEDetector(**SMALL, latent=2, max_epochs=60, members=1, novelty=True, contamination=0.05).fit(clusters)


def test_where_known_rows_are_in_order_what_lies_between_them_is_odd(novelty: VAEDetector) -> None:
    assert (novelty.predict([[0.0] * 4, [6.0, -6.0, 6.0, -6.0], [30.0] * 4]) == -1).all()
    assert (novelty.predict([[6.0] * 4, [-6.0] * 4]) == 1).all()


def test_the_score_of_a_novelty_is_the_mean_by_both_priors(novelty: VAEDetector, clusters: np.ndarray) -> None:
    by_prior, by_known = (member.model for member in novelty.ensemble_.members)
    assert isinstance(by_known.parts["z"].prior, AggregatePosterior)
    known = Batch(torch.from_numpy(clusters.astype(np.float32)).double())
    bounds = [scores(model, known, 20, encode=torch.Tensor.double).elbo for model in (by_prior, by_known)]
    assert np.allclose(novelty.score_samples(clusters), (bounds[0] + bounds[1]).numpy() / 2)


def test_a_known_row_is_no_witness_for_itself(novelty: VAEDetector, clusters: np.ndarray) -> None:
    gain = novelty.score_samples(clusters) - novelty.training_scores_
    assert (gain > 0).mean() > 0.9


@pytest.mark.parametrize(("rows", "columns"), [(100, 12), (178, 30)])
def test_new_rows_in_order_are_called_odd_as_often_as_is_said(rows: int, columns: int) -> None:
    """Few rows of many columns are learnt by heart: by their own scores many new ones would be odd.

    178 rows are two batches, and three quarters of them one and a few rows more: these must not be a batch.
    """
    random = np.random.default_rng(0)
    mixing = random.normal(size=(columns, columns)) * np.geomspace(1, 0.03, columns)
    few, new = (np.sinh(random.normal(size=(n, columns)) @ mixing.T / 4) for n in (rows, 2000))
    detector = VAEDetector(contamination=0.1, members=1, novelty=True, random_state=0, device="cpu").fit(few)
    scores = detector.score_samples(new)
    assert (scores < np.percentile(detector.training_scores_, 10)).mean() > 0.15
    assert 0.01 < (scores < detector.offset_).mean() < 0.2


def test_a_named_score_is_that_of_the_members_alone(clusters: np.ndarray) -> None:
    named = VAEDetector(**QUICK, by="log_evidence", members=1, novelty=True).fit(clusters)
    known = Batch(torch.from_numpy(clusters.astype(np.float32)).double())
    expected = scores(precise(named.model_), known, 20, encode=torch.Tensor.double).log_evidence
    assert np.allclose(named.score_samples(clusters), expected.numpy())
    assert np.array_equal(named.training_scores_, named.score_samples(clusters))


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_contamination_that_cannot_be(share: float, pairs: np.ndarray) -> None:
    with pytest.raises(UsageError, match="contamination"):
        VAEDetector(contamination=share).fit(pairs)


@pytest.mark.parametrize(("names", "unlabelled"), [((0, 1), -1), (("cat", "dog"), ""), (("cat", "dog"), None)])
def test_few_labels_are_enough_where_classes_lie_apart(names: tuple[Any, Any], unlabelled: Any) -> None:
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    rows = random.normal(size=(200, 3)) + 6 * truth[:, None]
    labels = np.array([names[number] for number in truth], dtype=object)
    labels[np.arange(200) % 20 != 0] = unlabelled
    classifier = VAEClassifier(**SMALL, latent=2, max_epochs=30, members=1).fit(rows, labels)
    assert list(classifier.classes_) == list(names)
    assert (classifier.predict(rows) == np.array(names)[truth]).mean() > 0.97
    shares = classifier.predict_proba(rows)
    assert np.allclose(shares.sum(1), 1)
    assert ((shares[:, 1] > 0.5) == truth).mean() > 0.97


def test_a_table_without_labels_is_refused(pairs: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no row has a label"):
        VAEClassifier().fit(pairs, np.full(len(pairs), -1))


def test_labels_that_are_missing() -> None:
    assert is_missing(np.array([0, -1, 2]), -1).tolist() == [False, True, False]
    assert is_missing(np.array([0, -1, 2]), None).tolist() == [False, False, False]
    assert is_missing(np.array([0.0, np.nan]), None).tolist() == [False, True]
    assert is_missing(np.array(["a", "", None], dtype=object), -1).tolist() == [False, True, True]


@pytest.mark.parametrize("settings", [{}, {"n_clusters": 3}])
def test_clusters_that_lie_apart_are_found(settings: Settings) -> None:
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 100)
    rows = 0.3 * random.normal(size=(300, 2)) + np.array([[0, 0], [8, 0], [0, 8]])[truth]
    clusterer = VAEClusterer(**SMALL, latent=2, max_epochs=40, **settings).fit(rows)
    assert adjusted_rand_score(truth, clusterer.labels_) > 0.95
    assert np.array_equal(clusterer.predict(rows), clusterer.labels_)


def test_clusters_of_a_model_that_has_its_own() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(200, 2)) + 20 * np.repeat([0, 1], 100)[:, None]
    clusterer = VAEClusterer(**SMALL, latent=2, max_epochs=15, n_clusters=2, recipe="gm_vae").fit(rows)
    assert "c" in clusterer.model_.latents
    assert set(clusterer.labels_) == set(range(len(clusterer.clusters_)))
    assert np.array_equal(clusterer.predict(rows[::-1]), clusterer.labels_[::-1])


def test_in_a_pipeline_and_a_grid_search(pairs: np.ndarray) -> None:
    target = pairs[:, 0] > MEAN
    pipeline = make_pipeline(StandardScaler(), VAEReducer(**QUICK | {"max_epochs": 10}), LogisticRegression())
    search = GridSearchCV(pipeline, {"vaereducer__latent": [1, 2]}, cv=2).fit(pairs, target)
    assert search.best_score_ > 0.8
    density = VAEDensity(**QUICK | {"learning_rate": 1e-2}, members=1)
    assert GridSearchCV(density, {"max_epochs": [1, 40]}, cv=2).fit(pairs).best_params_ == {"max_epochs": 40}


def test_pickled_it_says_the_same(pairs: np.ndarray) -> None:
    reducer = VAEReducer(**QUICK).fit(pairs)
    assert np.array_equal(pickle.loads(pickle.dumps(reducer)).transform(pairs), reducer.transform(pairs))


def test_without_a_seed_each_fit_is_another(pairs: np.ndarray) -> None:
    settings = QUICK | {"random_state": None}
    first, second = (VAEReducer(**settings).fit(pairs).transform(pairs) for _ in range(2))
    assert not np.allclose(first, second)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_the_output_is_what_was_set(library: str, pairs: np.ndarray) -> None:
    frames = pytest.importorskip(library)
    reducer = VAEReducer(**QUICK).set_output(transform=library).fit(pairs)
    made = reducer.transform(pairs)
    assert isinstance(made, frames.DataFrame)
    assert list(made.columns) == ["vaereducer0", "vaereducer1"]


def test_the_fitted_model_is_a_fitted_vae(pairs: np.ndarray, tmp_path: Any) -> None:
    import vaekit

    density = VAEDensity(**QUICK, members=1).fit(pairs)
    loaded = vaekit.load_model(density.model_.save(tmp_path / "model"), device="cpu")
    said = loaded.score_samples(pairs[:5])
    assert torch.equal(said, density.model_.score_samples(pairs[:5]))
    assert np.allclose(said, density.score_samples(pairs[:5]), atol=0.3)  # other draws: those of float64


def test_what_is_chosen_is_told() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 3))
    density = VAEDensity(max_epochs=1, random_state=0).fit(rows)
    assert len(density.members_) == density.defaults_.members
    assert density.model_.latent_shape("z") == (density.defaults_.latent,)


class TestTables:
    """Frames of mixed columns with holes."""

    def test_are_completed_with_their_names_types_and_index(self, people: pd.DataFrame) -> None:
        filled = VAEImputer(**SMALL, latent=2, max_epochs=80).fit_transform(people)
        assert not filled.isna().any().any()
        assert (filled.dtypes == people.dtypes).all()
        assert filled.index.equals(people.index)
        observed = people.notna()
        assert filled.where(observed).equals(people.where(observed))
        kind = people["height"].iloc[30:50].round(-1)  # the teams that were hidden, by the heights that were not
        expected = np.select([kind <= 155, kind >= 185], ["red", "blue"], "green")
        assert (filled["team"].iloc[30:50].astype(str).to_numpy() == expected).mean() > 0.8

    def test_are_made_up_with_their_names_and_types(self, people: pd.DataFrame) -> None:
        made = VAESynthesizer(**SMALL, latent=2, max_epochs=80).fit(people).sample(600)
        assert (made.dtypes == people.dtypes).all()
        assert list(made.columns) == list(people.columns)
        heights = made.groupby("team", observed=True)["height"].median()
        assert heights["red"] < heights["green"] < heights["blue"]

    def test_are_scored_and_reduced(self, people: pd.DataFrame) -> None:
        assert VAEReducer(**QUICK).fit_transform(people).shape == (300, 2)
        scores = VAEDensity(**QUICK, members=1).fit(people).score_samples(people)
        assert np.isfinite(scores).all()


def test_rows_without_a_label_count_for_nothing_in_a_score() -> None:
    rows = np.random.default_rng(0).normal(size=(80, 2)) + np.repeat([[-4.0], [4.0]], 40, 0)
    labels = np.repeat([0, 1], 40)
    classifier = VAEClassifier(**{**SMALL, "max_epochs": 30}).fit(rows, labels)
    told = np.where(np.arange(80) % 2, labels, -1)
    assert classifier.score(rows, labels) == 1.0
    assert classifier.score(rows, told) == 1.0
    wrong = told.copy()
    wrong[1] = 1
    assert classifier.score(rows, wrong) == pytest.approx(39 / 40)
    assert classifier.score(rows, wrong, np.arange(80) != 1) == 1.0
    with pytest.raises(ValueError, match="no row has a label"):
        classifier.score(rows, np.full(80, -1))


@pytest.mark.parametrize("frame", [False, True])
def test_a_column_in_which_nothing_is_known_stays_missing_and_is_told(frame: bool) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    rows[:, 1], rows[3, 0] = np.nan, np.nan
    given = pd.DataFrame(rows, columns=["a", "b", "c"]) if frame else rows
    with pytest.warns(UserWarning, match=f"all missing: {'.b.' if frame else '1'}"):
        filled = np.asarray(VAEImputer(**QUICK, members=1).fit_transform(given))
    assert np.isnan(filled[:, 1]).all()
    assert np.isfinite(filled[:, [0, 2]]).all()


def test_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame(np.zeros((9, 2)), columns=["a", "a"])
    with pytest.raises(DataError, match="columns 1 and 2 are both called 'a': rename one"):
        VAEImputer(**QUICK).fit(frame)


def test_a_value_that_many_rows_have_is_filled_in_to_the_last_digit() -> None:
    random = np.random.default_rng(0)
    rows = 1 + np.abs(random.normal(size=(200, 2)))
    rows[random.random(200) < 0.7, 1] = 0.1  # no float32 is 0.1
    rows[:20, 1] = np.nan
    low, _ = VAEImputer(**{**QUICK, "max_epochs": 20}, members=1).fit(rows).intervals(rows)
    assert (low[:20, 1] == 0.1).any()
    reading = Arrays.of(rows)
    assert (reading.decode(reading.encode(rows))[20:, 1] == 0.1).sum() == (rows[20:, 1] == 0.1).sum()
