from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaekit.common.errors import DataError
from vaekit.data import canonical_labels, canonical_rows
from vaekit.data.layout import CHANNELS, canonical_axes

sizes = st.integers(1, 5)
channels = st.sampled_from(CHANNELS)
canonical_shapes = st.one_of(st.tuples(sizes, sizes), st.tuples(sizes, channels, sizes, sizes))


@given(canonical_shapes)
def test_a_canonical_array_is_its_own_canonical_form(shape: tuple[int, ...]) -> None:
    x = torch.arange(float(np.prod(shape))).reshape(shape)
    assert torch.equal(canonical_axes(x), x)


@given(st.tuples(sizes, sizes, sizes))
def test_grey_images_get_their_channel(shape: tuple[int, int, int]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert np.array_equal(canonical_rows(x).numpy()[:, 0], x)


@given(st.tuples(sizes, st.sampled_from([2, 5, 6]), sizes, channels))
def test_channels_last_become_channels_first(shape: tuple[int, int, int, int]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    rows = canonical_rows(x)
    assert rows.is_contiguous()
    for channel in range(shape[3]):
        assert np.array_equal(rows[:, channel].numpy(), x[..., channel])


@pytest.mark.parametrize("shape", [(), (5,), (5, 2, 8, 8), (5, 8, 8, 7), (5, 3, 2, 2, 2)])
def test_any_other_shape_is_printed(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as caught:
        canonical_rows(np.zeros(shape))
    assert f"x has shape {shape}: give vectors" in str(caught.value)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "uint16", "int64", "uint64", "float16", ">f4", "float64"])
def test_numbers_that_are_not_bytes_keep_their_meaning_as_float32(dtype: str) -> None:
    rows = canonical_rows(np.array([[0, 1], [1, 1]], dtype=dtype))
    assert rows.dtype == torch.float32
    assert rows.tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize("dtype", [torch.bool, torch.int16, torch.int64, torch.bfloat16, torch.float64])
def test_tensors_are_treated_as_arrays_are(dtype: torch.dtype) -> None:
    rows = canonical_rows(torch.tensor([[0, 1], [1, 1]], dtype=dtype))
    assert rows.dtype == torch.float32
    assert rows.tolist() == [[0, 1], [1, 1]]


def test_bytes_stay_bytes() -> None:
    for x in (np.array([[0, 255]], np.uint8), torch.tensor([[0, 255]], dtype=torch.uint8)):
        rows = canonical_rows(x)
        assert rows.dtype == torch.uint8
        assert rows.tolist() == [[0, 255]]


def test_read_only_and_reversed_arrays_are_copied() -> None:
    frozen = np.array([[1.0, 2.0]], np.float32)
    frozen.setflags(write=False)
    canonical_rows(frozen)[0, 0] = 9
    assert frozen[0, 0] == 1
    assert canonical_rows(np.array([[1.0, 2.0]], np.float32)[:, ::-1]).tolist() == [[2, 1]]


def test_gradients_end_at_the_data() -> None:
    assert not canonical_rows(torch.zeros(2, 3, requires_grad=True)).requires_grad


@pytest.mark.parametrize(
    "values",
    [
        np.array([["a"]]),
        np.array([[1j]]),
        np.array([[None]]),
        torch.tensor([[1j]]),
        np.zeros((1, 1), "M8[s]"),
    ],
)
def test_rows_that_are_no_real_numbers_are_refused(values: np.ndarray | torch.Tensor) -> None:
    with pytest.raises(DataError, match="dtype"):
        canonical_rows(values)


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(DataError, match="rows of one length"):
        canonical_rows([[1, 2], [3]])


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, 1],
        np.array([2, 0, 1], np.uint8),
        np.array([2, 0, 1], ">i4"),
        np.array([2.0, 0.0, 1.0]),
        np.array([[2], [0], [1]]),
        torch.tensor([2, 0, 1], dtype=torch.int32),
    ],
)
def test_labels_of_any_whole_type_become_int64(labels: np.ndarray | torch.Tensor) -> None:
    y = canonical_labels(labels)
    assert y.dtype == torch.int64
    assert y.tolist() == [2, 0, 1]


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e30])
def test_a_label_that_is_no_whole_number_is_named_by_its_row(value: float) -> None:
    with pytest.raises(DataError, match=r"^row 2 of y holds"):
        canonical_labels(np.array([0, 1, value, 0.5]))


@pytest.mark.parametrize("shape", [(), (3, 2), (3, 1, 1)])
def test_labels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as caught:
        canonical_labels(np.zeros(shape))
    assert f"y has shape {shape}" in str(caught.value)


def test_text_labels_are_refused_with_the_mend() -> None:
    with pytest.raises(DataError, match=r"numpy\.unique"):
        canonical_labels(["cat", "dog"])
