"""The one form in which rows and labels are kept, whatever form they arrive in.

Axes: (n, D) are vectors and stay. (n, H, W) are grey images and become (n, 1, H, W). (n, C, H, W) with C of
1, 3 or 4 channels stays, and else (n, H, W, C) becomes (n, C, H, W); an array that could be read both ways is
taken as (n, C, H, W), so that a canonical array is its own canonical form. Any other shape is refused.

Values: uint8 stays uint8 and is read as greys, value / 255. All else becomes float32 and means what it says:
bool is 0 or 1, and whole numbers of other types are no greys even within 0 to 255, for they may be counts.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vaekit.common.errors import DataError

CHANNELS = (1, 3, 4)
"""Axis lengths that are read as channels: grey, RGB, RGBA."""


def canonical_rows(values: ArrayLike | Tensor) -> Tensor:
    """Rows in their canonical form (n, D) or (n, C, H, W), uint8 or float32; may share memory with `values`.

    >>> canonical_rows(np.zeros((5, 28, 28), np.uint8)).shape
    torch.Size([5, 1, 28, 28])
    >>> canonical_rows([[True, False]])
    tensor([[1., 0.]])
    """
    return canonical_axes(canonical_values(values))


def canonical_axes(x: Tensor) -> Tensor:
    """Put the axes of `x` in their canonical order.

    >>> canonical_axes(torch.zeros(5, 32, 32, 3)).shape
    torch.Size([5, 3, 32, 32])
    >>> canonical_axes(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 3, 32, 32])
    """
    return _LAYOUTS.get(x.ndim, _refuse)(x)


def canonical_values(values: ArrayLike | Tensor) -> Tensor:
    """Bytes as uint8, all other real numbers as float32.

    >>> canonical_values(np.array([0, 255], np.int64))
    tensor([  0., 255.])
    """
    return _of_tensor(values) if isinstance(values, Tensor) else _of_array(as_numbers(values, "x"))


def canonical_labels(values: ArrayLike | Tensor) -> Tensor:
    """Labels as (n,) int64, from whole numbers of any type in shape (n,) or (n, 1).

    >>> canonical_labels(np.array([[3.0], [1.0]]))
    tensor([3, 1])
    """
    given = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    array = as_numbers(given, "y")
    column = array[:, 0] if array.shape[1:] == (1,) else array
    if column.ndim != 1:
        raise DataError(f"y has shape {array.shape}: give one label for each row, in shape (n,)")
    return torch.from_numpy(_whole(column))


def as_numbers(values: ArrayLike, what: str) -> np.ndarray:
    """An array of real numbers; text, objects, complex numbers and ragged lists are refused.

    >>> as_numbers(["a", "b"], "y")
    Traceback (most recent call last):
    vaekit.common.errors.DataError: y has dtype <U1: give numbers (numpy.unique(..., return_inverse=True) ...)
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} is no array: give rows of one length") from error
    if array.dtype.kind not in "buif":
        coded = "numpy.unique(..., return_inverse=True) codes text"
        raise DataError(f"{what} has dtype {array.dtype}: give numbers ({coded})")
    return array


def _of_array(array: np.ndarray) -> Tensor:
    dtype = np.uint8 if array.dtype == np.uint8 else np.float32
    with np.errstate(over="ignore"):  # what overflows float32 turns to inf, which the sources refuse by its row
        return torch.from_numpy(np.require(array, dtype, ["C", "W"]))


def _of_tensor(values: Tensor) -> Tensor:
    if values.is_complex():
        raise DataError(f"x has dtype {values.dtype}: give real numbers")
    dtype = torch.uint8 if values.dtype == torch.uint8 else torch.float32
    return values.detach().to(dtype).contiguous()


def _whole(array: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        labels = array.astype(np.int64)
    wrong = np.flatnonzero(labels != array)
    if wrong.size:
        raise DataError(f"row {wrong[0]} of y holds {array[wrong[0]]}: labels must be whole numbers")
    return labels


def _vectors(x: Tensor) -> Tensor:
    return x


def _grey_images(x: Tensor) -> Tensor:
    return x.unsqueeze(1)


def _colour_images(x: Tensor) -> Tensor:
    if x.shape[1] in CHANNELS:
        return x
    return x.permute(0, 3, 1, 2).contiguous() if x.shape[3] in CHANNELS else _refuse(x)


def _refuse(x: Tensor) -> Tensor:
    known = "vectors (n, D), or images (n, H, W), (n, C, H, W) or (n, H, W, C) with C of 1, 3 or 4"
    raise DataError(f"x has shape {tuple(x.shape)}: give {known}")


_LAYOUTS = {2: _vectors, 3: _grey_images, 4: _colour_images}
