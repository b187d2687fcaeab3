"""The scorer of batches: right numbers, whatever the batch is and wherever it is cut, in whichever process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from scoring.saved import saved_model
from vaekit.common.errors import DataError, ModelFileError, UsageError
from vaekit.data import Dataset
from vaekit.model import FittedVAE, load_model
from vaekit.scoring import BatchScorer, Codes, Score
from vaekit.scoring.loaded import loaded

PLACES = {"rtol": 1e-5, "atol": 1e-5}
SIX = [f"x{index}" for index in range(6)]


def expected(model: Path, bits: np.ndarray, samples: int = 10, seed: int = 0) -> np.ndarray:
    """-log p(x) of each row, by `log_evidence` of the row alone."""
    fitted = load_model(model)
    rows = [fitted.log_evidence(bits[row : row + 1], samples, seed=seed).log_evidence for row in range(len(bits))]
    return -torch.cat(rows).numpy()


def as_columns(bits: np.ndarray) -> dict[str, np.ndarray]:
    return {"id": np.array([f"row {row}" for row in range(len(bits))]), **dict(zip(SIX, bits.T, strict=True))}


BATCHES: dict[str, tuple[Callable[[np.ndarray], Any], Callable[[Any, str], Any]]] = {
    "a dict of one array": (lambda bits: {"id": np.arange(len(bits)), "x": bits}, lambda batch, name: batch[name]),
    "a dict of columns": (as_columns, lambda batch, name: batch[name]),
    "a dict of tensors": (lambda bits: {"x": torch.from_numpy(bits)}, lambda batch, name: batch[name].numpy()),
    "a dict of objects": (lambda bits: {"data": np.array([*bits, None], object)[:-1]}, lambda batch, name: batch[name]),
    "a frame": (lambda bits: pd.DataFrame(as_columns(bits)), lambda batch, name: batch[name].to_numpy()),
    "a frame of arrays": (
        lambda bits: pd.DataFrame({"x": list(bits), "t": "a"}, index=range(7, 7 + len(bits))),
        lambda batch, name: batch[name].to_numpy(),
    ),
    "a frame of nullable numbers": (
        lambda bits: pd.DataFrame(dict(zip(SIX, bits.T, strict=True))).astype("Int64"),
        lambda batch, name: batch[name].to_numpy(),
    ),
    "an Arrow table": (lambda bits: pa.table(as_columns(bits)), lambda batch, name: batch[name].to_numpy()),
    "an Arrow table in chunks": (
        lambda bits: pa.concat_tables([pa.table(as_columns(bits[:7])), pa.table(as_columns(bits[7:]))]),
        lambda batch, name: batch[name].to_numpy(),
    ),
    "Arrow lists": (lambda bits: pa.table({"x": list(bits)}), lambda batch, name: batch[name].to_numpy()),
    "Arrow tensors": (
        lambda bits: pa.table({"x": pa.FixedShapeTensorArray.from_numpy_ndarray(bits)}),
        lambda batch, name: batch[name].to_numpy(),
    ),
    "an Arrow record batch": (
        lambda bits: pa.RecordBatch.from_pydict(as_columns(bits)),
        lambda batch, name: batch.column(name).to_numpy(),
    ),
    "an array": (lambda bits: bits, lambda batch, name: batch[:, ["score", "elbo"].index(name)]),
    "a tensor": (
        lambda bits: torch.from_numpy(bits),
        lambda batch, name: batch[:, ["score", "elbo"].index(name)].numpy(),
    ),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_a_batch_comes_back_as_it_came_with_its_scores(kind: str, model: Path, bits: np.ndarray) -> None:
    make, read = BATCHES[kind]
    batch = make(bits)
    found = BatchScorer(model, (Score(samples=10),))(batch)
    assert type(found) is type(batch)
    np.testing.assert_allclose(read(found, "score"), expected(model, bits), **PLACES)
    assert (read(found, "elbo") <= -read(found, "score") + 1e-9).all()


@pytest.mark.parametrize("kind", [kind for kind in BATCHES if kind not in ("an array", "a tensor")])
def test_all_columns_are_kept_before_those_that_are_added(kind: str, model: Path, bits: np.ndarray) -> None:
    batch = BATCHES[kind][0](bits)
    found = BatchScorer(model, (Score(samples=1), Codes()))(batch)
    names = found.schema.names if isinstance(batch, (pa.Table, pa.RecordBatch)) else list(found)
    before = batch.schema.names if isinstance(batch, (pa.Table, pa.RecordBatch)) else list(batch)
    width = FittedVAE.load(model).encode(bits).shape[1]
    assert names == [*before, "score", "elbo", *(f"z{index}" for index in range(width))]
    assert "score" not in before
    if isinstance(batch, pd.DataFrame):
        pd.testing.assert_frame_equal(found[before], batch)
    elif isinstance(batch, (pa.Table, pa.RecordBatch)):
        assert found.select(before).equals(batch)
    else:
        assert all(found[name] is batch[name] for name in before)


@pytest.mark.parametrize("recipe", ["vae", "bernoulli_vae"])
def test_what_is_added_does_not_depend_on_how_rows_are_cut_into_batches(
    recipe: str, tmp_path: Path, bits: np.ndarray
) -> None:
    scorer = BatchScorer(saved_model(tmp_path / recipe, recipe), (Score(samples=5), Codes()), seed=3)
    whole = scorer({"x": bits})
    for cuts in ([1], [13, 14, 40], range(1, 50)):
        parts = [scorer({"x": part}) for part in np.split(bits, cuts)]
        for name in scorer.names:
            np.testing.assert_allclose(np.concatenate([part[name] for part in parts]), whole[name], **PLACES)


def test_codes_are_those_of_encode(model: Path, bits: np.ndarray) -> None:
    found = BatchScorer(model, (Codes(),))(bits)
    np.testing.assert_allclose(found, load_model(model).encode(bits).numpy(), **PLACES)


def test_codes_of_several_latents_have_names_apart(tmp_path: Path) -> None:
    path = saved_model(tmp_path / "ladder", "hvae")
    fitted = load_model(path)
    names = BatchScorer(path, (Codes(),)).names
    assert len(set(names)) == len(names)
    assert {name.rsplit("_", 1)[0] for name in names} == set(fitted.latents)
    chosen = BatchScorer(path, (Codes((fitted.latents[1],)),))
    bits = np.eye(6, dtype=np.float32)
    np.testing.assert_allclose(chosen(bits), fitted.encode(bits, latent=fitted.latents[1]).numpy(), **PLACES)
    with pytest.raises(UsageError, match="unknown latent 'w'"):
        BatchScorer(path, (Codes(("w",)),))(bits)


def test_the_score_is_the_negative_of_what_is_asked_for(model: Path, bits: np.ndarray) -> None:
    found = BatchScorer(model, (Score("elbo", 4),))({"x": bits})
    np.testing.assert_array_equal(found["score"], -found["elbo"])
    with pytest.raises(UsageError, match="did you mean 'elbo'"):
        Score("elba")


def test_a_pickle_scores_the_same_in_a_fresh_process_that_never_loads_a_loop(
    model: Path, bits: np.ndarray, tmp_path: Path
) -> None:
    scorer = BatchScorer(model, (Score(samples=10),), seed=2)
    here = scorer(bits)
    sent = pickle.dumps(scorer)
    assert len(sent) < 1000
    (tmp_path / "scorer").write_bytes(sent)
    np.save(tmp_path / "bits.npy", bits)
    program = (
        "import pickle, sys; import numpy as np; from pathlib import Path; at = Path(sys.argv[1]);"
        "scorer = pickle.loads((at / 'scorer').read_bytes()); loaded = 'vaekit.fitting' in sys.modules;"
        "np.save(at / 'there.npy', scorer(np.load(at / 'bits.npy'))); print(loaded, 'vaekit.fitting' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    np.testing.assert_allclose(np.load(tmp_path / "there.npy"), here, **PLACES)


def test_a_model_is_loaded_once_and_again_when_it_has_changed(tmp_path: Path, bits: np.ndarray) -> None:
    path = saved_model(tmp_path / "model", "vae")
    scorer = BatchScorer(path, (Score(samples=2),))
    before = scorer(bits)
    assert scorer.fitted is pickle.loads(pickle.dumps(scorer)).fitted
    other = FittedVAE.load(saved_model(tmp_path / "other", "vae", seed=1))
    other.save(path, force=True)
    np.testing.assert_allclose(scorer(bits), BatchScorer(tmp_path / "other", (Score(samples=2),))(bits), **PLACES)
    assert not np.allclose(scorer(bits), before)


def hand_made() -> Any:
    """The architecture of a model that no recipe builds."""
    from vaekit.recipes import build

    model = build("vae", (6,), latent=3).model
    model.blueprint = None
    return model


def test_a_model_composed_by_hand_is_built_by_the_function_that_is_sent_along(tmp_path: Path, bits: np.ndarray) -> None:
    fitted = load_model(saved_model(tmp_path / "named", "vae", latent=3))
    fitted.model.blueprint = None
    path = fitted.save(tmp_path / "unnamed")
    with pytest.raises(ModelFileError, match="composed by hand"):
        BatchScorer(path)(bits)
    found = BatchScorer(path, (Codes(),), build=hand_made)(bits)
    np.testing.assert_allclose(found, fitted.encode(bits).numpy(), **PLACES)


def test_a_run_stands_for_its_model(tmp_path: Path, bits: np.ndarray) -> None:
    saved_model(tmp_path / "run" / "model", "vae")
    np.testing.assert_array_equal(BatchScorer(tmp_path / "run")(bits), BatchScorer(tmp_path / "run" / "model")(bits))


def test_images_come_flat_or_in_shape_as_bytes_or_greys(tmp_path: Path) -> None:
    path = saved_model(tmp_path / "images", "vae", (1, 8, 8))
    images = np.random.default_rng(0).integers(0, 2, (5, 8, 8), dtype=np.uint8) * 255
    scorer = BatchScorer(path, (Score(samples=3),))
    found = scorer(images)
    same = (images[:, None], images.reshape(5, 64), images.astype(np.float32) / 255)
    for other in (*same, {"image": images}, {"x": images.reshape(5, 64), "n": np.arange(5)}):
        again = scorer(other)
        again = np.stack([again["score"], again["elbo"]], 1) if isinstance(again, dict) else again
        np.testing.assert_allclose(again, found, **PLACES)


def test_labels_are_read_where_the_model_reads_them(tmp_path: Path, bits: np.ndarray) -> None:
    path = saved_model(tmp_path / "cvae", "cvae", labels=3)
    y = np.arange(50) % 3
    right = load_model(path).score_samples(Dataset(torch.from_numpy(bits), torch.from_numpy(y)), 10)
    for name, labels in (("y", None), ("class", "class")):
        found = BatchScorer(path, (Score(samples=10),), labels=labels)({**as_columns(bits), name: y})
        np.testing.assert_allclose(-found["score"], right.numpy(), **PLACES)
    with pytest.raises(DataError, match="row 0 of y holds 7"):
        BatchScorer(path)({"x": bits, "y": y + 7})
    with pytest.raises(DataError, match="the rows have none"):
        BatchScorer(path)({"x": bits})
    with pytest.raises(UsageError, match="unknown column 'clas': did you mean 'class'"):
        BatchScorer(path, labels="clas")({"x": bits, "class": y})


def test_columns_are_read_in_the_order_in_which_they_are_named(model: Path, bits: np.ndarray) -> None:
    shuffled = {f"f{index}": bits[:, index] for index in (3, 1, 2, 5, 4, 0)} | {"age": np.arange(50)}
    found = BatchScorer(model, (Score(samples=10),), columns=[f"f{index}" for index in range(6)])(shuffled)
    np.testing.assert_allclose(found["score"], expected(model, bits), **PLACES)
    with pytest.raises(DataError, match=r"reads 6 values a row, and there are 7 columns of numbers \(f3, f1"):
        BatchScorer(model)(shuffled)


def test_an_empty_batch_comes_back_empty_with_its_columns(model: Path, bits: np.ndarray) -> None:
    scorer = BatchScorer(model, (Score(samples=2), Codes()))
    table = pa.table(as_columns(bits))
    empty, full = scorer(table.slice(0, 0)), scorer(table)
    assert empty.schema == full.schema
    assert (empty.num_rows, full.num_rows) == (0, 50)


WRONG: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "a gap in a column": (
        lambda bits: {**as_columns(bits), "x3": np.where(np.arange(50) == 17, np.nan, 0)},
        "row 17 of column 'x3' holds nan",
    ),
    "a null": (lambda bits: pa.table({**as_columns(bits), "x1": pa.array([None] + [0] * 49)}), "row 0 of column 'x1'"),
    "a gap in an array": (lambda bits: np.where(np.arange(50)[:, None] == 4, np.inf, bits), "row 4 of x"),
    "a value out of range": (lambda bits: bits + np.eye(50, 6) * 5, "row 0 of x holds"),
    "too few columns": (lambda bits: bits[:, :5], r"shape \(5,\), but the model explains \(6,\)"),
    "text": (lambda bits: {"x": np.array(["a"] * 50)}, "'x' holds no numbers"),
    "ragged lists": (lambda bits: pa.table({"x": [[1.0, 0.0]] * 49 + [[1.0]]}), "different lengths"),
    "columns of two lengths": (lambda bits: {**as_columns(bits), "x1": bits[:3, 0]}, "x0 50, x1 3"),
    "a list": (lambda bits: bits.tolist(), "a batch of type list"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_said_in_one_line(fault: str, model: Path, bits: np.ndarray) -> None:
    make, words = WRONG[fault]
    with pytest.raises(DataError, match=words) as error:
        BatchScorer(model)(make(bits))
    assert len(str(error.value).splitlines()) == 1


def test_a_column_is_never_written_over(model: Path, bits: np.ndarray) -> None:
    with pytest.raises(UsageError, match="a column 'elbo' already"):
        BatchScorer(model)({"x": bits, "elbo": np.zeros(50)})


def test_a_path_that_is_no_model_is_said_to_be_none(tmp_path: Path, bits: np.ndarray) -> None:
    with pytest.raises(ModelFileError, match="is no model directory"):
        BatchScorer(tmp_path)(bits)
    with pytest.raises(ModelFileError, match="no such directory"):
        loaded(tmp_path / "nowhere", "cpu", None)
