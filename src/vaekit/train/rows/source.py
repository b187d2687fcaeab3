"""What training and evaluation read: batches of a data set, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import torch

from vaekit.core import Batch
from vaekit.core.meeting import Rows
from vaekit.train.rows.labels import Wanted

_EPOCHS = 1_000_003
"""A prime: seeds of one run and epochs of another meet only far out."""


class Source(Protocol):
    """A data set as batches on a device. `Resident` holds it in memory; a stream reads it as it goes."""

    @property
    def device(self) -> torch.device:
        """Where its batches are."""

    @property
    def batch_size(self) -> int:
        """Examples to a batch; the last of a pass may have fewer."""

    @property
    def examples(self) -> int:
        """The number of examples of a pass."""

    @property
    def rows(self) -> Rows:
        """The examples by their numbers, as the model sees them; refused where they cannot be had so."""

    def __len__(self) -> int:
        """The number of batches of a pass."""

    def labelled(self, wanted: Mapping[str, Wanted]) -> Source:
        """The same examples with their labels beside them; `DataError` where they are not what is wanted."""

    def shared(self, rank: int, world: int) -> Source:
        """What one of several ranks reads: in training its share of each batch, `batch_size` examples of a whole one.

        In evaluation every example is read by exactly one rank. Every rank has as many training batches as the others.
        """

    def in_order(self) -> Iterator[Batch]:
        """A pass over the examples as they come."""

    def shuffled(self, seed: int, start: int = 0) -> Iterator[Batch]:
        """A pass in an order that the seed alone decides, from batch number `start` on.

        What is skipped is not encoded, so that encodings which draw (binarisation) continue where they were.
        """


def order_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch's order.

    >>> order_seed(0, 1) != order_seed(1, 1) != order_seed(1, 2)
    True
    """
    return (seed * _EPOCHS + epoch) % 2**63
