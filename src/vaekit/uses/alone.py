"""Alone: what is made of each row when it is by itself, so that it does not depend on the rows beside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vmap

from vaekit.common.seeds import seeded
from vaekit.core import Batch, Context

Work = Callable[[Batch], Tensor]
"""What is made of a batch of one row, which may draw from torch's current generator."""


def each_alone(work: Work, batch: Batch, seed: int) -> Tensor:
    """What `work` makes of each row in a batch of its own, every time from this seed: `(n, *what it makes)`.

    The answer to a row is a function of that row: it is the same, up to rounding, whichever rows stand beside it,
    in whatever order. All rows meet the same noise, which also makes their answers comparable.

    Rows are worked on together wherever that can be done with the same draws for each; where a sampler cannot be
    (discrete draws, rejection), they are taken one by one, which is slower and gives the same.

    >>> noisy = lambda one: one.x[0] + torch.randn(2)
    >>> together = each_alone(noisy, Batch(torch.eye(2)), seed=0)
    >>> bool((together[1:] == each_alone(noisy, Batch(torch.eye(2)[1:]), seed=0)).all())
    True
    """
    with torch.no_grad():
        try:
            return _together(work, batch, seed)
        except (RuntimeError, NotImplementedError):  # torch cannot do it, or the work is at fault and says so again
            return _one_by_one(work, batch, seed)


def _together(work: Work, batch: Batch, seed: int) -> Tensor:
    with seeded(seed, batch.x.device), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # torch takes these few operations row by row
        made: Tensor = vmap(_on_one(work), randomness="same")(batch.x, dict(batch.given))
    return made


def _on_one(work: Work) -> Callable[[Tensor, Context], Tensor]:
    """The work as a function of what is known of one row, without a batch axis."""

    def one(x: Tensor, given: Context) -> Tensor:
        return work(Batch(x.unsqueeze(0), {name: value.unsqueeze(0) for name, value in given.items()}))

    return one


def _one_by_one(work: Work, batch: Batch, seed: int) -> Tensor:
    return torch.stack([_from(seed, work, row) for row in batch.split(1)])


def _from(seed: int, work: Work, row: Batch) -> Tensor:
    with seeded(seed, row.x.device):
        return work(row)
