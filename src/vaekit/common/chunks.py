"""Work done in chunks of rows, without gradients, so that memory does not grow with the data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ROWS = 1000


def by_rows(work: Callable[[Tensor], Tensor], x: Tensor, axis: int = 0, rows: int = ROWS) -> Tensor:
    """`work` on chunks of rows, its results joined along `axis`."""
    with torch.no_grad():
        return torch.cat([work(part) for part in x.split(rows)], dim=axis)
