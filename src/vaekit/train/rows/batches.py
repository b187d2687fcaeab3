"""Batches from data that sit on the device as they are stored, encoded only when they are seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy

import torch
from torch import Tensor

from vaekit.core import Batch
from vaekit.core.meeting import ROW
from vaekit.data import Dataset, Encoding
from vaekit.train.rows.labels import Wanted, as_vectors, numbers_of_a_pass, refuse_unfit


class StandIn(Batch):
    """A row of the last batch for a rank that has no share of it, to keep step with the others; it counts for nothing.

    Only what a part learns outside the gradient, such as a codebook, meets that row twice.
    """

    counted = 0


class Resident:
    """A data set held on the device; each pass is a pass over every example, the last batch may be short.

    Binarisation happens on the device, from torch's current generator.

    Of several ranks (`shared`) all hold the data, and all know the order. A batch has `batch_size` examples for each
    rank: in training each takes its share of every batch, in evaluation they take whole ones by turns.
    """

    def __init__(self, dataset: Dataset, encoding: Encoding, batch_size: int, device: torch.device) -> None:
        self.x = dataset.x.to(device)
        self.y = None if dataset.y is None else dataset.y.to(device)
        self.beside = {name: values.to(device) for name, values in dataset.given.items()}
        self.wanted: Mapping[str, Wanted] = {}
        self.numbers = torch.arange(len(self.x), device=device)
        """Of the rows of a training pass: one that is labelled where few are comes more than once."""
        self.encoding = encoding
        self.batch_size = batch_size
        self.rank, self.world = 0, 1

    def __len__(self) -> int:
        """The number of batches of a training pass."""
        return -(-len(self.numbers) // (self.batch_size * self.world))

    @property
    def device(self) -> torch.device:
        """Where the data are."""
        return self.x.device

    @property
    def examples(self) -> int:
        """The number of examples of a training pass, on this rank."""
        whole, rest = divmod(len(self.numbers), self.batch_size * self.world)
        return whole * self.batch_size + -(-max(0, rest - self.rank) // self.world)

    @property
    def rows(self) -> EncodedRows:
        """The examples by their numbers, as the model sees them."""
        return EncodedRows(self.x, self.encoding)

    def labelled(self, wanted: Mapping[str, Wanted]) -> Resident:
        """The same examples, with their labels beside them in the form that is wanted.

        Where few have labels, a training pass comes to these more often than once: see `numbers_of_a_pass`.

        Raises `DataError` where they have none, or others than are wanted.
        """
        refuse_unfit(self.y, wanted)
        known = copy(self)
        known.wanted = wanted
        if self.y is not None and wanted:
            known.numbers = numbers_of_a_pass(self.y)
        return known

    def shared(self, rank: int, world: int) -> Resident:
        """What one of several ranks reads."""
        own = copy(self)
        own.rank, own.world = rank, world
        return own

    def in_order(self) -> Iterator[Batch]:
        """The examples as they come."""
        parts = torch.arange(len(self.x), device=self.x.device).split(self.batch_size * self.world)
        if self.rank >= len(parts):
            return iter([self._stand_in(parts[0])])
        own = parts[self.rank :: self.world]
        return (Batch(self.encoding.encode(self.x[part]), self._given(part)) for part in own)

    def whole(self) -> Batch:
        """All the examples in one batch."""
        parts = list(self.in_order())
        given = {name: torch.cat([part.given[name] for part in parts]) for name in parts[0].given}
        return Batch(torch.cat([part.x for part in parts]), given)

    def shuffled(self, seed: int, start: int = 0) -> Iterator[Batch]:
        """The examples in the order of this seed, their numbers beside them, from batch number `start` on."""
        return (self._share(part) for part in self.order(seed).split(self.batch_size * self.world)[start:])

    def _share(self, part: Tensor) -> Batch:
        own = part.tensor_split(self.world)[self.rank]
        return self.batch_of(own) if len(own) else self._stand_in(part)

    def _stand_in(self, part: Tensor) -> Batch:
        one = self.batch_of(part[:1])
        return StandIn(one.x, one.given)

    def order(self, seed: int) -> Tensor:
        """The numbers of the examples in a random order that the seed alone decides."""
        generator = torch.Generator(self.device).manual_seed(seed)
        return self.numbers[torch.randperm(len(self.numbers), device=self.device, generator=generator)]

    def batch_of(self, numbers: Tensor) -> Batch:
        """The examples of these numbers, which stand beside them."""
        return Batch(self.rows[numbers], self._given(numbers) | {ROW: numbers})

    def _given(self, part: Tensor) -> dict[str, Tensor]:
        """What is known beside these examples: their labels, where they are wanted, and their covariates."""
        beside = {name: values[part] for name, values in self.beside.items()}
        if self.y is None:
            return beside
        return beside | {name: as_vectors(self.y[part], how.classes) for name, how in self.wanted.items()}


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
