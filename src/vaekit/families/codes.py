"""Codes: finitely many values of a vector, each with an index. What a prior over discrete latents is written in."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Size, Tensor
from torch.distributions.constraints import Constraint
from torch.nn.functional import one_hot

from vaekit.common.errors import UsageError


class Codes(Protocol):
    """Finitely many vectors, each told by one or more digits, all of the same base."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    @property
    def codes(self) -> int:
        """The base of a digit: how many values it has."""

    @property
    def digits(self) -> int:
        """How many digits tell a vector."""

    def indices(self, vectors: Tensor) -> Tensor:
        """The digits of vectors, `(..., dimensions)` to whole numbers `(..., digits)`."""

    def vectors(self, indices: Tensor) -> Tensor:
        """The vectors of digits, `(..., digits)` to `(..., dimensions)`."""


class Classes:
    """One-hot vectors of K classes, by the index of the class.

    >>> classes = Classes(3)
    >>> classes.vectors(torch.tensor([[2], [0]]))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    >>> classes.indices(classes.vectors(torch.tensor([[2], [0]]))).flatten().tolist()
    [2, 0]
    """

    digits = 1

    def __init__(self, classes: int) -> None:
        self.codes = self.dimensions = classes

    def indices(self, vectors: Tensor) -> Tensor:
        """The index of the 1."""
        return vectors.argmax(-1, keepdim=True)

    def vectors(self, indices: Tensor) -> Tensor:
        """A 1 at the index."""
        return one_hot(indices.squeeze(-1), self.codes).to(torch.get_default_dtype())


class Bits:
    """Vectors of D bits, by a digit 0 or 1 for each.

    >>> Bits(3).indices(torch.tensor([[1.0, 0.0, 1.0]])).tolist()
    [[1, 0, 1]]
    """

    codes = 2

    def __init__(self, dimensions: int) -> None:
        self.dimensions = self.digits = dimensions

    def indices(self, vectors: Tensor) -> Tensor:
        """The nearest bits, as whole numbers."""
        return vectors.round().clamp(0, 1).long()

    def vectors(self, indices: Tensor) -> Tensor:
        """The bits as values."""
        return indices.to(torch.get_default_dtype())


class OnCodes(Constraint):
    """Values whose vectors, along the first of the last `axes` axes, are codes."""

    is_discrete = True

    def __init__(self, codes: Codes, axes: int) -> None:
        self.codes, self.axes = codes, axes
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Whether each vector is a code, up to rounding; every value of a wrong one is marked."""
        vectors = value.movedim(-self.axes, -1)
        nearest = self.codes.vectors(self.codes.indices(vectors)).to(value)
        near = torch.isclose(vectors, nearest, rtol=1e-4, atol=1e-5).all(-1, keepdim=True)
        return near.expand_as(vectors).movedim(-1, -self.axes)

    def __repr__(self) -> str:
        return f"vectors of {self.codes.dimensions} that are codes"


def require_dimensions(codes: Codes, event_shape: Size | tuple[int, ...]) -> None:
    """Refuse an event whose vectors, along its first axis, are not as long as the codes."""
    if event_shape[0] != codes.dimensions:
        raise UsageError(
            f"an event of shape {tuple(event_shape)} has vectors of {event_shape[0]}, but the codes have "
            f"{codes.dimensions}: make them alike"
        )
