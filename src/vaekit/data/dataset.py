"""What a model is fitted to: rows with or without labels, and the splits they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Size, Tensor

from vaekit.common.errors import DataError, RowError, UsageError
from vaekit.core.context import Context

if TYPE_CHECKING:
    from vaekit.data.tables import Schema

STORED = (torch.uint8, torch.float32)
"""The dtypes that rows are kept in: bytes, read as greys, or real values."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """One split: n rows `x` of shape `(n, *event)`, uint8 or float32, and their labels `y`, `(n,)` int64, or None.

    Checked when made; a `DataError` says what does not fit. NaN and infinities are not looked for here:
    see `refuse_nonfinite`, which each source of complete data applies.

    >>> digits = Dataset(torch.zeros(5, 1, 28, 28, dtype=torch.uint8), torch.arange(5), name="digits")
    >>> len(digits), digits.event_shape
    (5, torch.Size([1, 28, 28]))
    >>> digits.head(2)
    Dataset(digits: 2 images of 1 x 28 x 28, uint8, labelled)
    """

    x: Tensor
    y: Tensor | None = None
    name: str = ""
    schema: Schema | None = None
    """The columns of the table that the rows are from, if they are from one."""
    given: Context = field(default_factory=dict)
    """What is known beside each row, `(n, *event)` each, by the names under which a model reads it: covariates."""

    def __post_init__(self) -> None:
        _check_rows(self.x)
        if self.y is not None:
            _check_labels(self.y, self.x)
        for name, values in self.given.items():
            _check_given(name, values, self.x)

    def __len__(self) -> int:
        return self.x.shape[0]

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.event_shape))
        dtype = str(self.x.dtype).removeprefix("torch.")
        labels = "unlabelled" if self.y is None else "labelled"
        return f"Dataset({self.name or 'unnamed'}: {_count(self.x)} of {shape}, {dtype}, {labels})"

    @property
    def holes(self) -> bool:
        """Whether values are missing, as NaN."""
        return self.x.is_floating_point() and bool(self.x.isnan().any())

    @property
    def event_shape(self) -> Size:
        """The shape of one row.

        >>> Dataset(torch.zeros(7, 3)).event_shape
        torch.Size([3])
        """
        return self.x.shape[1:]

    def take(self, indices: Tensor | Sequence[int]) -> Dataset:
        """The rows at `indices` (k,), in that order, with their labels.

        >>> Dataset(torch.eye(3), torch.tensor([5, 6, 7])).take([2, 0]).y
        tensor([7, 5])
        """
        rows = torch.as_tensor(indices, dtype=torch.int64, device=self.x.device)
        return self._at(rows)

    def head(self, n: int) -> Dataset:
        """The first n rows, or all of them if there are fewer; they share memory with these.

        >>> len(Dataset(torch.eye(3)).head(2))
        2
        """
        if n < 1:
            raise UsageError(f"the first {n} rows were asked for: ask for at least 1")
        return self._at(slice(n))

    def _at(self, rows: Tensor | slice) -> Dataset:
        given = {name: values[rows] for name, values in self.given.items()}
        return replace(self, x=self.x[rows], y=None if self.y is None else self.y[rows], given=given)


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set as published: what to train and to test on, its licence, and the string that loads it.

    Both splits hold rows of one shape and dtype; a `DataError` says where they differ.

    >>> splits = Splits(Dataset(torch.eye(3)), None, name="unit vectors", source="unit.npy")
    >>> splits.name, len(splits.train), splits.test
    ('unit vectors', 3, None)
    """

    train: Dataset
    test: Dataset | None
    name: str
    source: str
    licence: str = ""

    def __post_init__(self) -> None:
        if self.test is not None and _form(self.test) != _form(self.train):
            raise DataError(f"training rows are {_form(self.train)}, test rows {_form(self.test)}: give both one form")


def refuse_infinite(dataset: Dataset) -> Dataset:
    """The dataset as it is, or a `DataError` that names its first row with an infinity; NaN is what is missing.

    >>> refuse_infinite(Dataset(torch.tensor([[torch.nan], [torch.inf]])))
    Traceback (most recent call last):
    vaekit.common.errors.RowError: row 1 of x holds an infinity in float32: mend it, or make it NaN if it is missing
    """
    row = first_row(dataset.x.isinf())
    if row is not None:
        raise RowError(row, "x", "holds an infinity in float32: mend it, or make it NaN if it is missing")
    return dataset


def refuse_nonfinite(dataset: Dataset) -> Dataset:
    """The dataset as it is, or a `DataError` that names its first row with a NaN or an infinity.

    >>> refuse_nonfinite(Dataset(torch.tensor([[0.0], [torch.nan]])))
    Traceback (most recent call last):
    vaekit.common.errors.RowError: row 1 of x holds a NaN or infinity in float32: fill it in or drop the row
    """
    row = first_row(~dataset.x.isfinite())
    if row is not None:
        raise RowError(row, "x", "holds a NaN or infinity in float32: fill it in or drop the row")
    return dataset


def first_row(marked: Tensor) -> int | None:
    """The index of the first row of `marked`, `(n, *event)`, bool, in which anything is marked.

    >>> first_row(torch.tensor([[False, False], [False, True]]))
    1
    """
    rows = marked.flatten(1).any(dim=1)
    return int(rows.int().argmax()) if bool(rows.any()) else None


def _check_rows(x: Tensor) -> None:
    if x.dtype not in STORED:
        raise DataError(f"x is {x.dtype}: make it torch.uint8 (greys 0 to 255) or torch.float32")
    if x.ndim < 2:
        raise DataError(f"x has shape {tuple(x.shape)}: give it one axis of rows and at least one of values")
    if x.numel() == 0:
        raise DataError(f"x is empty, of shape {tuple(x.shape)}: give at least one row with one value")


def _check_labels(y: Tensor, x: Tensor) -> None:
    if y.dtype != torch.int64 or y.ndim != 1:
        raise DataError(f"y is {y.dtype} of shape {tuple(y.shape)}: make it torch.int64 with one label a row")
    if len(y) != len(x):
        raise DataError(f"{_count(x)} but {len(y)} labels: give exactly one label to each")


def _check_given(name: str, values: Tensor, x: Tensor) -> None:
    if name == "x":
        raise DataError("'x' is the name of the rows: give what is known beside them another name")
    if values.ndim < 2 or len(values) != len(x):
        raise DataError(f"{_count(x)} but {name!r} of shape {tuple(values.shape)}: give one vector to each row")
    if not values.isfinite().all():
        raise RowError(first_row(~values.isfinite()) or 0, name, "holds a NaN or infinity: fill it in or drop the row")


def _count(x: Tensor) -> str:
    return f"{len(x)} {'images' if x.ndim == 4 else 'rows'}"


def _form(dataset: Dataset) -> str:
    return f"{dataset.x.dtype} of shape {tuple(dataset.event_shape)}"
