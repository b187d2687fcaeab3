from __future__ import annotations

import pytest
import torch

from vaekit.common.errors import DataError, UsageError
from vaekit.data import Dataset, Splits, refuse_nonfinite

IMAGES = torch.arange(5 * 4, dtype=torch.uint8).reshape(5, 1, 2, 2)
LABELS = torch.tensor([3, 1, 4, 1, 5])


def test_take_keeps_rows_and_labels_together_in_the_order_asked_for() -> None:
    taken = Dataset(IMAGES, LABELS, "five").take(torch.tensor([4, 0, 4]))
    assert torch.equal(taken.x, torch.stack([IMAGES[4], IMAGES[0], IMAGES[4]]))
    assert taken.y is not None
    assert taken.y.tolist() == [5, 3, 5]
    assert taken.name == "five"


def test_head_gives_the_first_rows_and_never_more_than_there_are() -> None:
    dataset = Dataset(IMAGES, LABELS)
    assert torch.equal(dataset.head(2).x, IMAGES[:2])
    assert len(dataset.head(99)) == len(dataset) == 5
    assert dataset.head(2).x.data_ptr() == IMAGES.data_ptr()


@pytest.mark.parametrize("n", [0, -1])
def test_head_of_nothing_is_refused(n: int) -> None:
    with pytest.raises(UsageError, match=f"first {n} rows"):
        Dataset(IMAGES).head(n)


def test_event_shape_leaves_out_the_axis_of_rows() -> None:
    assert Dataset(IMAGES).event_shape == torch.Size([1, 2, 2])


def test_labels_that_do_not_match_are_counted_in_the_error() -> None:
    with pytest.raises(DataError, match=r"^5 images but 4 labels: "):
        Dataset(IMAGES, LABELS[:4])
    with pytest.raises(DataError, match=r"^5 rows but 4 labels: "):
        Dataset(IMAGES.flatten(1), LABELS[:4])


@pytest.mark.parametrize("shape", [(0, 1, 2, 2), (5, 0), (0, 3)])
def test_empty_rows_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="is empty"):
        Dataset(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.bool])
def test_other_dtypes_of_rows_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(DataError, match=str(dtype)):
        Dataset(torch.zeros(2, 3, dtype=dtype))


def test_rows_without_an_axis_of_values_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(3,\)"):
        Dataset(torch.zeros(3))


@pytest.mark.parametrize("labels", [LABELS.float(), LABELS.int(), LABELS.reshape(5, 1)])
def test_labels_of_another_form_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(DataError, match="one label a row"):
        Dataset(IMAGES, labels)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_the_first_row_that_is_not_finite_is_named(value: float) -> None:
    x = torch.zeros(6, 1, 2, 2)
    x[3, 0, 1, 0] = x[5, 0, 0, 0] = value
    with pytest.raises(DataError, match=r"^row 3 of x .* drop the row$"):
        refuse_nonfinite(Dataset(x))


def test_a_dataset_may_hold_nan_until_a_source_refuses_it() -> None:
    assert len(Dataset(torch.full((2, 3), torch.nan))) == 2


def test_finite_rows_pass_as_they_are() -> None:
    for x in (torch.zeros(2, 3), IMAGES):
        dataset = Dataset(x)
        assert refuse_nonfinite(dataset) is dataset


@pytest.mark.parametrize("test", [torch.zeros(2, 4), torch.zeros(2, 3, dtype=torch.uint8)])
def test_splits_of_two_forms_are_refused(test: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"float32 of shape \(3,\).*of shape"):
        Splits(Dataset(torch.zeros(2, 3)), Dataset(test), name="toy", source="toy.npz")
