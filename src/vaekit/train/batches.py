"""Batches from data that sit on the device as they are stored, encoded only when they are seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy

import torch
from torch import Tensor

from vaekit.core import Batch
from vaekit.core.meeting import ROW
from vaekit.data import Dataset, Encoding
from vaekit.train.labels import Wanted, as_vectors, refuse_unfit


class Resident:
    """A data set held on the device; each pass is a pass over every example, the last batch may be short.

    Shuffling and binarisation happen on the device, from torch's current generator.
    """

    def __init__(self, dataset: Dataset, encoding: Encoding, batch_size: int, device: torch.device) -> None:
        self.x = dataset.x.to(device)
        self.y = None if dataset.y is None else dataset.y.to(device)
        self.wanted: Mapping[str, Wanted] = {}
        self.encoding = encoding
        self.batch_size = batch_size

    def __len__(self) -> int:
        """The number of batches of a pass."""
        return -(-self.examples // self.batch_size)

    @property
    def examples(self) -> int:
        """The number of examples of a pass."""
        return len(self.x)

    @property
    def rows(self) -> EncodedRows:
        """The examples by their numbers, as the model sees them."""
        return EncodedRows(self.x, self.encoding)

    def labelled(self, wanted: Mapping[str, Wanted]) -> Resident:
        """The same examples, with their labels beside them in the form that is wanted.

        Raises `DataError` where they have none, or others than are wanted.
        """
        refuse_unfit(self.y, wanted)
        known = copy(self)
        known.wanted = wanted
        return known

    def in_order(self) -> Iterator[Batch]:
        """The examples as they come."""
        parts = torch.arange(self.examples, device=self.x.device).split(self.batch_size)
        return (Batch(self.encoding.encode(self.x[part]), self._labels(part)) for part in parts)

    def whole(self) -> Batch:
        """All the examples in one batch."""
        parts = list(self.in_order())
        given = {name: torch.cat([part.given[name] for part in parts]) for name in parts[0].given}
        return Batch(torch.cat([part.x for part in parts]), given)

    def shuffled(self) -> Iterator[Batch]:
        """The examples in a fresh random order, their numbers beside them."""
        rows, order = self.rows, torch.randperm(self.examples, device=self.x.device)
        return (Batch(rows[part], self._labels(part) | {ROW: part}) for part in order.split(self.batch_size))

    def _labels(self, part: Tensor) -> dict[str, Tensor]:
        if self.y is None:
            return {}
        return {name: as_vectors(self.y[part], how.classes) for name, how in self.wanted.items()}


class EncodedRows:
    """Stored rows, encoded when they are asked for by number."""

    def __init__(self, x: Tensor, encoding: Encoding) -> None:
        self.x, self.encoding = x, encoding

    def __len__(self) -> int:
        """How many there are."""
        return len(self.x)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The rows of these numbers, `(n, *event)`."""
        return self.encoding.encode(self.x[index])
