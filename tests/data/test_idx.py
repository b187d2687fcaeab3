from __future__ import annotations

import gzip
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from idx_files import CODES, idx_bytes

from vaekit.common.errors import DataError
from vaekit.data import idx_folder, read_idx

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
PACKERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def refusal(path: Path) -> str:
    """The one line with which a file is refused; it must begin with the file."""
    with pytest.raises(DataError) as caught:
        read_idx(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4), (0, 2)])
def test_what_is_written_is_read(dtype: str, shape: tuple[int, ...], suffix: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(scale=60, size=shape)
    array = np.abs(values).astype(dtype) if dtype == "uint8" else values.astype(dtype)
    path = tmp_path / f"values-idx{suffix}"
    path.write_bytes(PACKERS[suffix](idx_bytes(array)))
    read = read_idx(path)
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert np.array_equal(read, array)


def test_the_published_byte_layout_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "two-by-three"
    path.write_bytes(bytes.fromhex("00000b02 00000002 00000003 0001 0100 ffff 7fff 8000 0002"))
    assert read_idx(path).tolist() == [[1, 256, -1], [32767, -32768, 2]]


@pytest.mark.parametrize("suffix", PACKERS)
def test_an_empty_file_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"empty{suffix}"
    path.write_bytes(b"")
    refusal(path)


def test_an_empty_plain_file_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert "is empty" in refusal(path)


@pytest.mark.parametrize("length", range(1, len(idx_bytes(IMAGES))))
def test_a_file_cut_short_anywhere_is_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(idx_bytes(IMAGES)[:length])
    refusal(path)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_packed_file_cut_short_anywhere_is_refused(suffix: str, tmp_path: Path) -> None:
    packed, path = PACKERS[suffix](idx_bytes(IMAGES)), tmp_path / f"cut{suffix}"
    for length in range(1, len(packed)):
        path.write_bytes(packed[:length])
        refusal(path)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_packed_file_of_another_format_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"plain{suffix}"
    path.write_bytes(idx_bytes(IMAGES))
    assert "is no whole" in refusal(path)


def test_a_file_that_is_too_long_is_refused_with_both_lengths(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(idx_bytes(IMAGES) + b"!")
    assert "holds 41 bytes but its header promises 40" in refusal(path)


@pytest.mark.parametrize("magic", ["89504e47", "00010803", "01000803", "00000a03", "00000f01"])
def test_a_wrong_magic_number_is_shown(magic: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(bytes.fromhex(magic) + idx_bytes(IMAGES)[4:])
    assert bytes.fromhex(magic).hex(" ") in refusal(path)


def test_a_header_that_promises_terabytes_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(bytes.fromhex("00000e03 ffffffff ffffffff ffffffff"))
    assert "promises" in refusal(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent")


def test_a_python_without_lzma_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "images.xz"
    path.write_bytes(lzma.compress(idx_bytes(IMAGES)))
    monkeypatch.setitem(sys.modules, "lzma", None)
    assert "lzma" in refusal(path)


def test_a_folder_gives_both_splits(digits: Path) -> None:
    splits = idx_folder(digits)
    assert splits.name == "digits"
    assert splits.train.x.flatten().tolist() == list(range(24))
    assert splits.train.event_shape == (1, 3, 2)
    assert splits.train.y is not None
    assert splits.train.y.tolist() == [4, 0, 3, 1]
    assert splits.test is not None
    assert splits.test.x.flatten().tolist() == list(range(24, 36))
    assert splits.test.y is not None
    assert splits.test.y.tolist() == [9, 7]


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("suffix", PACKERS)
def test_every_naming_of_the_files_is_found(mark: str, suffix: str, digits: Path) -> None:
    expected = idx_folder(digits)
    for path in list(digits.iterdir()):
        renamed = digits / (path.name.replace("-idx", f"{mark}idx") + suffix)
        content = PACKERS[suffix](path.read_bytes())
        path.unlink()
        renamed.write_bytes(content)
    found = idx_folder(digits)
    assert found.train.x.equal(expected.train.x)
    assert found.test is not None
    assert expected.test is not None
    assert found.test.y is not None
    assert found.test.y.equal(expected.test.y)


def test_labels_and_the_test_split_are_optional(digits: Path) -> None:
    for path in digits.iterdir():
        if path.name != "train-images-idx3-ubyte":
            path.unlink()
    splits = idx_folder(digits)
    assert len(splits.train) == 4
    assert splits.train.y is None
    assert splits.test is None


def test_a_folder_without_images_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r": no train-images-idx3-ubyte in this folder"):
        idx_folder(tmp_path)


def test_labels_that_do_not_match_are_counted_beside_the_file(digits: Path) -> None:
    (digits / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(5, dtype=np.uint8)))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte: 2 images but 5 labels: "):
        idx_folder(digits)


def test_a_nan_is_named_by_file_and_row(digits: Path) -> None:
    images = np.zeros((4, 3, 2), np.float32)
    images[2, 1, 1] = np.nan
    (digits / "train-images-idx3-ubyte").write_bytes(idx_bytes(images))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: row 2 of x holds a NaN"):
        idx_folder(digits)


def test_splits_of_two_shapes_are_refused_by_folder(digits: Path) -> None:
    (digits / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((2, 3, 3), np.uint8)))
    with pytest.raises(DataError, match=r"digits: training rows are .*\(1, 3, 2\).*\(1, 3, 3\)"):
        idx_folder(digits)
