"""Work done in chunks of rows, without gradients, so that memory does not grow with the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

ROWS = 1000
T_co = TypeVar("T_co", covariant=True)


class Rows(Protocol[T_co]):
    """What can be taken apart by rows: a tensor, a batch."""

    def split(self, rows: int, /) -> Iterable[T_co]:
        """Its parts, of so many rows each."""
        ...


def by_rows(work: Callable[[T_co], Tensor], x: Rows[T_co], axis: int = 0, rows: int = ROWS) -> Tensor:
    """`work` on chunks of rows, its results joined along `axis`."""
    with torch.no_grad():
        return torch.cat([work(part) for part in x.split(rows)], dim=axis)
