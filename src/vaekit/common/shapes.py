"""Shapes reckoned in Python: a step that asks for one many times should not pay for more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Size


def broadcast(*shapes: Sequence[int]) -> Size:
    """The shape that these broadcast to, as `torch.broadcast_shapes`, which loads a solver of symbolic shapes.

    Raises `ValueError` where they do not.

    >>> broadcast((3, 1), (5,), ())
    torch.Size([3, 5])
    """
    return Size(np.broadcast_shapes(*map(tuple, shapes)))
