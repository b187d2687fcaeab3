"""Event shapes of a net's inputs and output, and the refusal of shapes and widths that make no net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from vaekit.common.errors import UsageError

Size: TypeAlias = tuple[int, ...]
"""The shape of one event, without the batch axis; `torch.Size` is one."""

Extent: TypeAlias = tuple[int, int]
"""Height and width of a map, in pixels."""


def is_map(shape: Size) -> bool:
    """Whether a shape is that of an image or feature map, `(channels, height, width)`.

    >>> is_map((1, 28, 28)), is_map((10,))
    (True, False)
    """
    return len(shape) == 3


def extent(shape: Size) -> Extent:
    """Height and width of a map's shape.

    >>> extent((3, 20, 28))
    (20, 28)
    """
    _, height, width = shape
    return height, width


def listed(shapes: Sequence[Size]) -> str:
    """Shapes as an error message prints them.

    >>> listed([(784,), (10,)])
    '(784,), (10,)'
    """
    return ", ".join(str(tuple(shape)) for shape in shapes)


def check_shapes(in_shapes: Sequence[Size], out_shape: Size) -> None:
    """Raise `UsageError` unless there is an input and every axis, of each input and of the output, has a size.

    >>> check_shapes([(784,), (0,)], (20,))
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: the input shape (0,) has an axis below 1: every axis needs a size of at least 1
    """
    if not in_shapes:
        raise UsageError("a net needs at least one input: in_shapes is empty")
    for shape in in_shapes:
        _check_shape("input", shape)
    _check_shape("output", out_shape)


def check_widths(what: str, widths: Sequence[int]) -> None:
    """Raise `UsageError` unless every width (of hidden layers, of channels) is at least 1.

    >>> check_widths("hidden", (400, 0))
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: hidden = (400, 0) has a width below 1: every width must be at least 1
    """
    if any(width < 1 for width in widths):
        raise UsageError(f"{what} = {tuple(widths)} has a width below 1: every width must be at least 1")


def _check_shape(role: str, shape: Size) -> None:
    if not isinstance(shape, Sequence):
        raise UsageError(f"the {role} shape {shape!r} is not a shape: write each one as a tuple, like (784,)")
    if any(side < 1 for side in shape):
        raise UsageError(f"the {role} shape {tuple(shape)} has an axis below 1: every axis needs a size of at least 1")
