"""Batches from data that sit on the device as they are stored, encoded only when they are seen."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from vaekit.core import Batch
from vaekit.data import Dataset, Encoding


class Resident:
    """A data set held on the device; each pass is a pass over every example, the last batch may be short.

    Shuffling and binarisation happen on the device, from torch's current generator.
    """

    def __init__(self, dataset: Dataset, encoding: Encoding, batch_size: int, device: torch.device) -> None:
        self.x = dataset.x.to(device)
        self.encoding = encoding
        self.batch_size = batch_size

    def __len__(self) -> int:
        """The number of batches of a pass."""
        return -(-self.examples // self.batch_size)

    @property
    def examples(self) -> int:
        """The number of examples of a pass."""
        return len(self.x)

    def in_order(self) -> Iterator[Batch]:
        """The examples as they come."""
        return (Batch(self.encoding.encode(part)) for part in self.x.split(self.batch_size))

    def shuffled(self) -> Iterator[Batch]:
        """The examples in a fresh random order."""
        order = torch.randperm(self.examples, device=self.x.device)
        return (Batch(self.encoding.encode(self.x[part])) for part in order.split(self.batch_size))
