from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vaekit.common.errors import DataError, UsageError
from vaekit.data import BUILTIN, Splits, load_data


def test_mnist_is_mnist(mnist: Splits) -> None:
    assert mnist.test is not None
    assert (mnist.name, mnist.source, mnist.licence) == ("mnist", "mnist", "CC BY-SA 3.0")
    assert mnist.train.x.shape == (60000, 1, 28, 28)
    assert mnist.test.x.shape == (10000, 1, 28, 28)
    assert mnist.train.x.dtype == mnist.test.x.dtype == torch.uint8


def test_mnist_has_its_published_statistics(mnist: Splits) -> None:
    assert mnist.train.y is not None
    assert mnist.test is not None
    assert mnist.test.y is not None
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.train.y.bincount().tolist() == train
    assert mnist.test.y.bincount().tolist() == test
    assert mnist.train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test.y[:5].tolist() == [7, 2, 1, 0, 4]
    greys = mnist.train.x.double() / 255
    assert greys.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert greys.std().item() == pytest.approx(0.3081, abs=5e-5)


def test_builtin_entries_go_by_their_own_names() -> None:
    for name, entry in BUILTIN.items():
        assert entry.name == name
        assert entry.summary
        assert entry.licence
        assert entry.shape


def test_a_folder_of_idx_files_is_loaded(digits: Path) -> None:
    splits = load_data(str(digits))
    assert len(splits.train) == 4
    assert load_data(splits.source).train.x.equal(splits.train.x)


@pytest.mark.parametrize("name", ["rows.npy", "rows.NPY"])
def test_a_numpy_file_is_loaded(name: str, tmp_path: Path) -> None:
    with (tmp_path / name).open("wb") as file:
        np.save(file, np.eye(3))
    assert load_data(tmp_path / name).train.x.equal(torch.eye(3))


def test_a_folder_called_as_a_builtin_is_reached_by_its_path(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits.rename(digits.with_name("mnist"))
    monkeypatch.chdir(digits.parent)
    for source in ("./mnist", Path("mnist")):
        splits = load_data(source)
        assert len(splits.train) == 4
        assert len(load_data(splits.source).train) == 4


def test_a_misspelt_builtin_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^unknown data 'mnsit': did you mean the built-in 'mnist'\? ") as caught:
        load_data("mnsit")
    assert caught.value.exit_code == 2


def test_a_path_that_is_not_there_is_answered_with_what_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_data(tmp_path / "absent.npz")
    message = str(caught.value)
    assert message.startswith(f"unknown data '{tmp_path}/absent.npz': No such file or folder")
    assert "did you mean" not in message
    assert all(words in message for words in ("mnist", "a folder of IDX files", "a .npy or .npz file"))


def test_a_file_of_no_known_kind_is_answered_with_what_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "rows.docx").touch()
    with pytest.raises(DataError, match=r"rows\.docx: no kind of data .*a \.npy or \.npz file$"):
        load_data(tmp_path / "rows.docx")
