"""Shares of data held once: for each of many models its own rows, in its own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vaekit.core import Batch
from vaekit.core.meeting import ROW
from vaekit.train.rows.batches import Resident


class Shares:
    """Rows of data held once, by their numbers `(member, n)`: a batch holds other rows for each member."""

    def __init__(self, data: Resident, numbers: Tensor) -> None:
        self.data, self.numbers = data, numbers.to(data.device)

    def __len__(self) -> int:
        """The number of batches of a pass."""
        return -(-self.examples // self.data.batch_size)

    @property
    def examples(self) -> int:
        """The number of examples of one member's pass."""
        return self.numbers.shape[1]

    def shuffled(self, seeds: Sequence[int]) -> Iterator[Batch]:
        """A pass for each member, in the order of its seed."""
        orders = torch.stack([self._order(seed) for seed in seeds])
        return (self.at(places) for places in orders.split(self.data.batch_size, dim=1))

    def in_order(self) -> Iterator[Batch]:
        """A pass over the examples as they come."""
        places = torch.arange(self.examples, device=self.numbers.device).expand_as(self.numbers)
        return (self.at(part) for part in places.split(self.data.batch_size, dim=1))

    def at(self, places: Tensor) -> Batch:
        """The examples at these places `(member, n)` among each member's own."""
        batch = self.data.batch_of(self.numbers.gather(1, places).flatten())
        given = {name: value.unflatten(0, places.shape) for name, value in batch.given.items()}
        return Batch(batch.x.unflatten(0, places.shape), given | {ROW: places})

    def rows(self, member: int) -> Share:
        """One member's examples by their places."""
        return Share(self.data, self.numbers[member])

    def _order(self, seed: int) -> Tensor:
        generator = torch.Generator(self.numbers.device).manual_seed(seed)
        return torch.randperm(self.examples, device=self.numbers.device, generator=generator)


class Share:
    """One member's rows, as the model sees them."""

    def __init__(self, data: Resident, numbers: Tensor) -> None:
        self.data, self.numbers = data, numbers

    def __len__(self) -> int:
        """How many there are."""
        return len(self.numbers)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The rows at these places, `(n, *event)`."""
        return self.data.rows[self.numbers[index]]
