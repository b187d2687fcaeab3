"""The way of rows from where they lie to training: parted, checked, and made into sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import torch

from vaekit.common.errors import UsageError
from vaekit.data import Dataset, Encoding, Streamed, hold_out
from vaekit.data.streams import Part, parted
from vaekit.train.rows.batches import Resident
from vaekit.train.rows.source import Source
from vaekit.train.rows.streams import Check, Stream, counted_from

Sources = tuple[Source, Source | None]
"""What to train on, and what is held out, if anything is."""


class Feed(Protocol):
    """The rows of a run, in memory or not."""

    @property
    def head(self) -> Dataset:
        """Rows that stand for all: all of them, prepared, where they are in memory; else some."""
        ...

    def __len__(self) -> int:
        """How many rows there are, held out or not."""
        ...

    def refuse_unfit(self) -> None:
        """Refuse rows that cannot be trained on; of a stream the first ones: it looks at the rest later."""
        ...

    def sources(self, validation: float, seed: int, batch_size: int, device: torch.device) -> Sources:
        """The rows to train on, and those held out."""
        ...

    def words(self, source: Source) -> str:
        """What a log should say of how the rows are read; nothing where it is as everybody expects."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Rows that fit in memory, and on the device."""

    rows: Dataset
    encoding: Encoding
    check: Check

    @cached_property
    def head(self) -> Dataset:
        """All the rows, prepared."""
        return self.encoding.prepare(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def refuse_unfit(self) -> None:
        """See `Feed`."""
        self.check(self.head)

    def sources(self, validation: float, seed: int, batch_size: int, device: torch.device) -> Sources:
        """See `Feed`."""
        learn, held_out = hold_out(self.head, validation, seed)
        resident = partial(Resident, encoding=self.encoding, batch_size=batch_size, device=device)
        return resident(learn), None if held_out is None else resident(held_out)

    def words(self, source: Source) -> str:
        """See `Feed`."""
        return ""


@dataclass(frozen=True, eq=False)
class Streaming:
    """Rows that are read as they are needed. Raises `UsageError` for an encoding that needs all rows at once."""

    data: Streamed
    encoding: Encoding
    check: Check

    def __post_init__(self) -> None:
        if not self.encoding.binarize.rowwise:
            raise UsageError("streamed rows cannot be binarised once for all: choose dynamic, threshold or none")

    @cached_property
    def head(self) -> Dataset:
        """Some rows, from all over the data."""
        return self.data.some(Part(self.data.train))

    def __len__(self) -> int:
        return len(self.data.train)

    def _looked_at(self, rows: Dataset) -> None:
        self.check(self.encoding.prepare(rows))

    def refuse_unfit(self) -> None:
        """See `Feed`."""
        first = Part(self.data.train).blocks(len(self.head)).rows(0)
        with counted_from(0, self.data.train.name):
            self._looked_at(next(self.data.train.read([first])))

    def sources(self, validation: float, seed: int, batch_size: int, device: torch.device) -> Sources:
        """See `Feed`."""
        learn, held_out = parted(self.data.train, validation, seed)
        stream = partial(self._stream, batch_size=batch_size, device=device)
        return stream(learn), None if held_out is None else stream(held_out)

    def _stream(self, part: Part, batch_size: int, device: torch.device) -> Stream:
        return Stream(part, self.encoding, batch_size, device, self.data.memory, self._looked_at)

    def words(self, source: Source) -> str:
        """See `Feed`."""
        how = f"; {source.words}" if isinstance(source, Stream) else ""
        return f"{len(self):,} rows, streamed within {self.data.memory:,} MiB{how}"


def feed_of(rows: Dataset | Streamed, encoding: Encoding, check: Callable[[Dataset], object]) -> Feed:
    """The feed of rows, wherever they lie; `check` refuses those that the model cannot explain."""
    return Streaming(rows, encoding, check) if isinstance(rows, Streamed) else InMemory(rows, encoding, check)
