"""Traverse: what changes when one latent coordinate does."""

from __future__ import annotations

from torch import Tensor


def traversal(code: Tensor, coordinate: int, values: Tensor) -> Tensor:
    """Copies of a code `(*event)` with one coordinate set to each of the values, `(value, *event)`.

    >>> import torch
    >>> traversal(torch.zeros(3), 1, torch.tensor([-1.0, 1.0])).tolist()
    [[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]]
    """
    codes = code.flatten().repeat(len(values), 1)
    codes[:, coordinate] = values
    return codes.reshape(len(values), *code.shape)
