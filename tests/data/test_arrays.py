from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vaekit.common.errors import DataError
from vaekit.data import dataset, numpy_file

ROWS = np.arange(12, dtype=np.float64).reshape(4, 3)
LABELS = np.array([3, 1, 0, 2])


def npz(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def refusal(path: Path) -> str:
    """The one line with which a file is refused; it must begin with the file."""
    with pytest.raises(DataError) as caught:
        numpy_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_arrays_and_tensors_make_the_same_dataset() -> None:
    a, b = dataset(ROWS, LABELS), dataset(torch.from_numpy(ROWS), torch.from_numpy(LABELS))
    assert a.x.dtype == torch.float32
    assert torch.equal(a.x, b.x)
    assert np.array_equal(a.x.numpy(), ROWS)
    assert a.y is not None
    assert b.y is not None
    assert a.y.tolist() == b.y.tolist() == LABELS.tolist()


def test_what_float32_cannot_hold_is_refused_by_its_row() -> None:
    rows = ROWS.copy()
    rows[1, 0] = 1e300
    with pytest.raises(DataError, match="row 1 of x"):
        dataset(rows)


def test_labels_that_do_not_match_are_counted() -> None:
    with pytest.raises(DataError, match="4 rows but 3 labels"):
        dataset(ROWS, LABELS[:3])


def test_npy_holds_training_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    splits = numpy_file(tmp_path / "rows.npy")
    assert np.array_equal(splits.train.x.numpy(), ROWS)
    assert splits.train.y is None
    assert splits.test is None
    assert splits.name == "rows"
    assert numpy_file(Path(splits.source)).train.x.equal(splits.train.x)


@pytest.mark.parametrize(
    "keys",
    [
        ("x", "y", "x_test", "y_test"),
        ("X", "Y", "X_test", "Y_test"),
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_x", "train_y", "test_x", "test_y"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("data", "target", "X_TEST", "test_labels"),
    ],
)
def test_npz_keys_play_their_roles(keys: tuple[str, str, str, str], tmp_path: Path) -> None:
    arrays = dict(zip(keys, (ROWS, LABELS, ROWS[:2] + 50, LABELS[:2] + 5), strict=True))
    splits = numpy_file(npz(tmp_path / "toy.npz", note=np.zeros(1), **arrays))
    assert np.array_equal(splits.train.x.numpy(), ROWS)
    assert splits.train.y is not None
    assert splits.train.y.tolist() == LABELS.tolist()
    assert splits.test is not None
    assert np.array_equal(splits.test.x.numpy(), ROWS[:2] + 50)
    assert splits.test.y is not None
    assert splits.test.y.tolist() == [8, 6]


def test_a_sole_array_is_the_training_rows_whatever_its_name(tmp_path: Path) -> None:
    assert np.array_equal(numpy_file(npz(tmp_path / "toy.npz", arr_0=ROWS)).train.x.numpy(), ROWS)


def test_keys_without_a_role_are_listed_with_those_looked_for(tmp_path: Path) -> None:
    message = refusal(npz(tmp_path / "toy.npz", left=ROWS, right=ROWS))
    assert "(left, right)" in message
    assert "x_train" in message


def test_an_archive_without_arrays_is_refused(tmp_path: Path) -> None:
    assert "(none)" in refusal(npz(tmp_path / "toy.npz"))


def test_two_keys_of_one_role_are_refused(tmp_path: Path) -> None:
    assert "'x' and 'x_train'" in refusal(npz(tmp_path / "toy.npz", x=ROWS, x_train=ROWS))


def test_pickled_objects_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    objects = np.array([Bomb(), Bomb()], dtype=object)
    np.save(tmp_path / "objects.npy", objects)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Bomb()))
    for path in (
        tmp_path / "objects.npy",
        tmp_path / "bare.npy",
        npz(tmp_path / "objects.npz", x=objects, y=LABELS),
    ):
        assert "pickled, which is never loaded" in refusal(path)
    assert not (tmp_path / "ran").exists()


def test_a_pickled_array_without_a_role_does_no_harm(tmp_path: Path) -> None:
    path = npz(tmp_path / "toy.npz", x=ROWS, meta=np.array([{}], dtype=object))
    assert len(numpy_file(path).train) == 4


def test_npy_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, ROWS)
    path = tmp_path / "cut.npy"
    for length in range(len(whole.getvalue())):
        path.write_bytes(whole.getvalue()[:length])
        refusal(path)


def test_npz_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = npz(tmp_path / "whole.npz", x=ROWS, y=LABELS).read_bytes()
    path = tmp_path / "cut.npz"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refusal(path)


def test_a_damaged_header_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, ROWS)
    path = tmp_path / "damaged.npy"
    for place in range(128):
        damaged = bytearray(whole.getvalue())
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        refusal(path)


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"x": np.array([[1.0], [np.inf]])}, "row 1 of x holds an infinity"),
        ({"x": ROWS, "y": LABELS[:3]}, "4 rows but 3 labels"),
        ({"x": ROWS, "y": np.array(["a"] * 4)}, "y has dtype"),
        ({"x": np.zeros((0, 3))}, "is empty"),
        ({"x": np.zeros(3)}, r"shape (3,)"),
        ({"x": ROWS, "x_test": ROWS[:, :2]}, "test rows torch.float32 of shape (2,)"),
    ],
)
def test_bad_arrays_are_refused_by_file(arrays: dict[str, np.ndarray], complaint: str, tmp_path: Path) -> None:
    assert complaint in refusal(npz(tmp_path / "toy.npz", **arrays))
