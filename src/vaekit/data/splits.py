"""Keeping rows back."""

from __future__ import annotations

import torch
from torch import Tensor

from vaekit.common.errors import DataError, UsageError
from vaekit.data.dataset import Dataset


def hold_out(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset | None]:
    """Part the rows at random into those to train on and round(fraction n) held out, at least one of each.

    Both parts keep the order of the rows. The draw depends on n, `fraction` and `seed` alone and leaves
    torch's own generators as they were. A fraction of 0 holds out nothing: the second part is None.
    A fraction outside [0, 1) is a `UsageError`; a single row, which cannot be parted, a `DataError`.

    >>> train, held = hold_out(Dataset(torch.eye(10)), fraction=0.3, seed=0)
    >>> len(train), len(held)
    (7, 3)
    """
    kept, held = parted(len(dataset), fraction, seed)
    return (dataset, None) if held is None else (dataset.take(kept), dataset.take(held))


def parted(n: int, fraction: float, seed: int) -> tuple[Tensor, Tensor | None]:
    """The numbers of the rows that `hold_out` leaves, and of those that it holds out, in order.

    >>> kept, held = parted(10, fraction=0.3, seed=0)
    >>> sorted(torch.cat([kept, held]).tolist()) == list(range(10))
    True
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"a fraction of {fraction} cannot be held out: choose one from 0 up to, but not, 1")
    if fraction == 0:
        return torch.arange(n), None
    held = _held(n, fraction)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[held:].sort().values, order[:held].sort().values


def _held(n: int, fraction: float) -> int:
    if n < 2:
        raise DataError("1 row cannot be parted in two: give more rows, or hold out a fraction of 0")
    return min(max(round(fraction * n), 1), n - 1)
