"""Parts of a store: which rows are in one, and in which blocks they lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch

from vaekit.common.errors import DataError, UsageError
from vaekit.data.dataset import Dataset
from vaekit.data.streams.store import Store

_GOLDEN, _FIRST, _SECOND = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_COUNTED: Final = 2**20
_SPREAD: Final = 16
"""Blocks, at least, from which some rows are taken to stand for all."""


@dataclass(frozen=True)
class Share:
    """The rows whose number, hashed with a seed to u in [0, 1), has low <= u < high.

    Who is in depends on the row's number and the seed alone. Source of the hash: Steele, Lea and Flood, 2014.

    >>> first, second = Share(0.0, 0.3), Share(0.3, 1.0)
    >>> bool((first.holds(range(99)) ^ second.holds(range(99))).all())
    True
    """

    low: float = 0.0
    high: float = 1.0
    seed: int = 0

    def holds(self, rows: range) -> np.ndarray:
        """Whether each of these rows is in, `(n,)`."""
        u = hashed(rows, self.seed)
        return (self.low <= u) & (u < self.high)

    @property
    def all(self) -> bool:
        """Whether every row is in."""
        return self.low <= 0 and self.high >= 1


def hashed(rows: range, seed: int) -> np.ndarray:
    """Numbers in [0, 1) that look drawn at random, one for each row's number."""
    with np.errstate(over="ignore"):
        z = np.arange(rows.start, rows.stop, dtype=np.uint64) + np.uint64(1 + (seed * 2**40) % 2**63)
        z = z * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _FIRST
        z = (z ^ (z >> np.uint64(27))) * _SECOND
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of a store that are in a share of it."""

    store: Store
    share: Share = Share()

    def chosen(self, rows: range) -> np.ndarray:
        """Which of these rows are in: their places among them, `(k,)`."""
        return np.arange(len(rows)) if self.share.all else np.flatnonzero(self.share.holds(rows))

    def blocks(self, rows: int) -> Blocks:
        """The part in blocks of about so many rows."""
        edges = self.store.edges(rows)
        return Blocks(edges, np.diff(edges) if self.share.all else self._counts(edges))

    def _counts(self, edges: np.ndarray) -> np.ndarray:
        counts = np.zeros(len(edges) - 1, np.int64)
        for start in range(0, int(edges[-1]), _COUNTED):
            numbers = start + self.chosen(range(start, min(start + _COUNTED, int(edges[-1]))))
            counts += np.bincount(np.searchsorted(edges, numbers, "right") - 1, minlength=len(counts))
        return counts

    def some(self, n: int) -> Dataset:
        """Up to n of its rows, in order, from blocks that are spread evenly over them where they can be had so."""
        blocks = self.blocks(max(1, n // _SPREAD))
        taken = blocks.spread(n) if self.store.any_order else blocks.first(n)
        each = -(-n // len(taken)) if self.store.any_order else n
        ranges = [blocks.rows(block) for block in taken.tolist()]
        read = zip(ranges, self.store.read(ranges), strict=True)
        return joined([rows.take(self.chosen(block)[:each].tolist()) for block, rows in read]).head(n)


def joined(parts: list[Dataset]) -> Dataset:
    """Rows one after another."""
    labels = [part.y for part in parts if part.y is not None]
    return Dataset(torch.cat([part.x for part in parts]), torch.cat(labels) if labels else None, parts[0].name)


class Piece(NamedTuple):
    """Of the chosen rows of a block, those from place `low` up to `high`."""

    block: int
    low: int
    high: int


class Blocks:
    """Blocks of a part: where they begin in the store, `(k + 1,)`, and how many chosen rows each has, `(k,)`."""

    def __init__(self, edges: np.ndarray, counts: np.ndarray) -> None:
        self.edges, self.counts = edges, counts
        self.begins = counts.cumsum() - counts

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def chosen(self) -> int:
        """The number of chosen rows."""
        return int(self.counts.sum())

    @property
    def largest(self) -> int:
        """The number of rows of the largest block, chosen or not."""
        return int(np.diff(self.edges).max())

    def rows(self, block: int) -> range:
        """The numbers of a block's rows in the store."""
        return range(int(self.edges[block]), int(self.edges[block + 1]))

    def first(self, n: int) -> np.ndarray:
        """The first blocks that hold n chosen rows between them."""
        full = np.flatnonzero(self.counts)
        return full[: 1 + int(np.searchsorted(self.counts[full].cumsum(), n))]

    def spread(self, n: int) -> np.ndarray:
        """Blocks at even distances that hold about n chosen rows between them."""
        full = np.flatnonzero(self.counts)
        needed = max(_SPREAD, -(-n * len(full) // self.chosen))
        places = np.linspace(0, len(full) - 1, min(needed, len(full))).round().astype(np.int64)
        return np.take(full, np.unique(places))

    def pieces(self, order: np.ndarray, start: int, stop: int, size: int) -> Iterator[Piece]:
        """The chosen rows `start` to `stop` of the blocks laid end to end in this order, cut after every `size` rows.

        >>> blocks = Blocks(np.array([0, 3, 5]), np.array([3, 2]))
        >>> list(blocks.pieces(np.array([1, 0]), 1, 5, 3))
        [Piece(block=1, low=1, high=2), Piece(block=0, low=0, high=2), Piece(block=0, low=2, high=3)]
        """
        ends = self.counts[order].cumsum()
        place = int(np.searchsorted(ends, start, "right"))
        cut = min(start + size, stop)
        while start < stop:
            block, end = int(order[place]), int(ends[place])
            begin, until = end - int(self.counts[block]), min(end, cut)
            if until > start:
                yield Piece(block, start - begin, until - begin)
            start = until
            place += start == end
            cut = min(cut + size, stop) if start == cut else cut


def parted(store: Store, fraction: float, seed: int) -> tuple[Part, Part | None]:
    """Part a store's rows into those to train on and about `fraction` of them held out, each row by its own number.

    The same rows are held out for the same seed, whatever else is set. A fraction of 0 holds out nothing. A fraction
    outside [0, 1) is a `UsageError`, a part with no row a `DataError`.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"a fraction of {fraction} cannot be held out: choose one from 0 up to, but not, 1")
    if fraction == 0:
        return Part(store), None
    learn, held = Part(store, Share(fraction, 1.0, seed)), Part(store, Share(0.0, fraction, seed))
    for part in (learn, held):
        if not part.blocks(len(store)).chosen:
            raise DataError(f"a share of {fraction} of {len(store)} rows leaves a part without rows: use 0, or another")
    return learn, held
