"""Batches from rows that do not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from itertools import cycle, groupby
from typing import Final

import numpy as np
import torch
from torch import Tensor

from vaekit.common.errors import DataError, RowError, UsageError
from vaekit.core import Batch
from vaekit.core.meeting import ROW
from vaekit.data import Dataset, Encoding
from vaekit.data.streams import MEMORY, Blocks, Part, Piece, Store, row_bytes
from vaekit.data.streams.store import empty_rows
from vaekit.train.rows.ahead import ahead
from vaekit.train.rows.labels import Wanted, as_vectors, refuse_unfit
from vaekit.train.rows.source import order_seed

Check = Callable[[Dataset], object]
"""Raises a `DataError` for rows that cannot be trained on."""

_MIXED: Final = 256
"""Into how many blocks the memory is cut, where a store leaves their size free."""
_COPIES: Final = 3
"""Of the largest block, how many copies exist while it is decoded, converted and checked."""
_NUMBERS: Final = 16
"""Bytes of a row's number and label."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """Rows in memory: their values, labels and numbers in the part."""

    x: Tensor
    y: Tensor
    numbers: Tensor

    @staticmethod
    def of(rows: int, store: Store) -> Buffer:
        """Room for so many rows of a store."""
        return Buffer(torch.from_numpy(empty_rows(rows, store)), *torch.empty(2, rows, dtype=torch.int64))

    def head(self, rows: int) -> Buffer:
        """The first of it, in the same memory."""
        return Buffer(self.x[:rows], self.y[:rows], self.numbers[:rows])

    def put(self, here: slice, rows: Dataset, chosen: np.ndarray, numbers: np.ndarray) -> None:
        """Write the chosen ones of some rows, and their numbers."""
        np.take(rows.x.numpy(), chosen, axis=0, out=self.x.numpy()[here])
        self.numbers.numpy()[here] = numbers
        if rows.y is not None:
            np.take(rows.y.numpy(), chosen, out=self.y.numpy()[here])


class Stream:
    """A part of a store as batches, read block by block within a ceiling of `memory` MiB, whatever its size.

    A shuffled pass takes the blocks in a random order, fills a buffer with several of them, and shuffles the rows
    within: exact where all rows fit in one buffer, and block shuffling else, in which rows of one block stay within
    one buffer (two, where the block is cut). Its order depends on the seed, the part, the batch size and the memory
    alone. Blocks that lie before `start` are not read. While one buffer is used a thread fills the next, so that two
    are held; global random states are never touched.

    With several ranks (`shared`), the sequence of blocks is cut into equal pieces, one a rank: in evaluation every
    row is in exactly one, in training every rank has the same number of rows, so that a row or two at a border can be
    seen twice.

    `check` is shown each block once, when it is read first. Raises `UsageError` where a batch, and `DataError` where
    a row group, does not fit in the memory.

    >>> from vaekit.data import Greys
    >>> from vaekit.data.streams import loader_store
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> store = loader_store(DataLoader(TensorDataset(torch.arange(6.0).reshape(6, 1))))
    >>> stream = Stream(Part(store), Encoding(Greys()), 4, torch.device("cpu"))
    >>> [batch.x.flatten().tolist() for batch in stream.in_order()]
    [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0]]
    """

    def __init__(
        self,
        part: Part,
        encoding: Encoding,
        batch_size: int,
        device: torch.device,
        memory: int = MEMORY,
        check: Check = len,
    ) -> None:
        self.part, self.encoding, self.batch_size, self.device = part, encoding, batch_size, device
        self.blocks = part.blocks(max(1, memory * 2**20 // (_MIXED * row_bytes(part.store))))
        self.buffered = _buffered(self.blocks, part, batch_size, memory)
        self.wanted: Mapping[str, Wanted] = {}
        self.rank, self.world = 0, 1
        self._check, self._checked = check, np.zeros(len(self.blocks), bool)

    def __len__(self) -> int:
        """The number of batches of a pass."""
        return -(-self.examples // self.batch_size)

    @property
    def examples(self) -> int:
        """The number of examples of a training pass, on this rank."""
        return -(-self.blocks.chosen // self.world)

    @property
    def exact(self) -> bool:
        """Whether all rows fit in one buffer, so that shuffling is exact."""
        return self.examples <= self.buffered

    @property
    def words(self) -> str:
        """How it is shuffled."""
        if self.exact:
            return "all rows fit in the buffer: exact shuffling"
        mixed = max(1, round(self.buffered * len(self.blocks) / self.blocks.chosen))
        return f"block shuffling: about {mixed} of {len(self.blocks):,} blocks, {self.buffered:,} rows, mixed at a time"

    @property
    def rows(self) -> StreamRows:
        """The examples by their numbers, read one block for all that are asked of it: slow, and for few rows."""
        return StreamRows(self)

    def labelled(self, wanted: Mapping[str, Wanted]) -> Stream:
        """The same examples with their labels, which are checked as they are read."""
        if not self.part.store.labelled:
            refuse_unfit(None, wanted)
        known = copy(self)
        known.wanted, known._checked = wanted, np.zeros(len(self.blocks), bool)
        return known

    def shared(self, rank: int, world: int) -> Stream:
        """What one of several ranks reads."""
        if not 0 <= rank < world <= self.blocks.chosen:
            raise UsageError(f"rank {rank} of {world}, for {self.blocks.chosen} rows: give each rank at least one row")
        own = copy(self)
        own.rank, own.world = rank, world
        return own

    def in_order(self) -> Iterator[Batch]:
        """The examples as they come."""
        order = np.arange(len(self.blocks))
        start, stop = (self.blocks.chosen * rank // self.world for rank in (self.rank, self.rank + 1))
        for buffer in self._buffers(order, start, stop, seed=0):
            for part in torch.arange(len(buffer.x)).split(self.batch_size):
                yield self._batch(buffer, part, {})

    def shuffled(self, seed: int, start: int = 0) -> Iterator[Batch]:
        """The examples in the order of this seed, their numbers beside them, from batch number `start` on."""
        if start >= len(self):
            return
        skipped, within = divmod(start * self.batch_size, self.buffered)
        begin = self.blocks.chosen * self.rank // self.world
        buffers = self._buffers(self._order(seed), begin + skipped * self.buffered, begin + self.examples, seed)
        for number, buffer in enumerate(buffers, skipped):
            for part in _permuted(len(buffer.x), order_seed(seed, number))[within:].split(self.batch_size):
                yield self._batch(buffer, part, {ROW: buffer.numbers[part].to(self.device)})
            within = 0

    def _order(self, seed: int) -> np.ndarray:
        """The blocks' order; a store that reads in one order only has one."""
        if not self.part.store.any_order:
            return np.arange(len(self.blocks))
        return _permuted(len(self.blocks), seed).numpy()

    def _batch(self, buffer: Buffer, part: Tensor, given: dict[str, Tensor]) -> Batch:
        x = self.encoding.encode(buffer.x[part].to(self.device))
        if not self.part.store.labelled:
            return Batch(x, given)
        y = buffer.y[part].to(self.device)
        return Batch(x, {name: as_vectors(y, how.classes) for name, how in self.wanted.items()} | given)

    def _buffers(self, order: np.ndarray, start: int, stop: int, seed: int) -> Iterator[Buffer]:
        filled = self._filled(order, start, stop, seed)
        return ahead(filled) if self.part.store.beside else filled

    def _filled(self, order: np.ndarray, start: int, stop: int, seed: int) -> Iterator[Buffer]:
        loaded = self._loaded(order, start, stop, seed)
        size = min(self.buffered, stop - start)
        room = cycle([Buffer.of(size, self.part.store) for _ in range(2 if stop - start > size else 1)])
        for begin in range(start, stop, self.buffered):
            yield self._fill(next(room).head(min(size, stop - begin)), loaded)

    def _fill(self, buffer: Buffer, loaded: Iterator[tuple[Piece, Dataset]]) -> Buffer:
        """The buffer with the rows of the next pieces, so many as it takes."""
        at = 0
        while at < len(buffer.x):
            piece, rows = next(loaded)
            chosen = self.part.chosen(self.blocks.rows(piece.block))[piece.low : piece.high]
            numbers = self.blocks.begins[piece.block] + np.arange(piece.low, piece.high)
            buffer.put(slice(at, at + len(chosen)), rows, chosen, numbers)
            at += len(chosen)
        return buffer

    def _loaded(self, order: np.ndarray, start: int, stop: int, seed: int) -> Iterator[tuple[Piece, Dataset]]:
        """Each piece with its block, which is read once for pieces that follow each other."""
        asked, answered = (
            groupby(self.blocks.pieces(order, start, stop, self.buffered), key=lambda piece: piece.block)
            for _ in range(2)
        )
        read = self.part.store.read((self.blocks.rows(block) for block, _ in asked), seed)
        for (block, pieces), rows in zip(answered, read, strict=True):
            self._look_at(block, rows)
            yield from ((piece, rows) for piece in pieces)

    def _look_at(self, block: int, rows: Dataset) -> None:
        if not self._checked[block]:
            with counted_from(int(self.blocks.edges[block]), self.part.store.name):
                self._check(rows)
                refuse_unfit(rows.y, self.wanted)
            self._checked[block] = True


class StreamRows:
    """The examples of a stream by their numbers, as the model sees them; each asking reads the blocks they lie in.

    Raises `UsageError` where the store is read in one order only, or more rows are asked for than fit in memory.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __len__(self) -> int:
        """How many there are."""
        return self.stream.blocks.chosen

    def __getitem__(self, index: Tensor) -> Tensor:
        """The rows of these numbers, `(n, *event)`."""
        self._refuse(index)
        numbers = index.cpu().numpy()
        x = empty_rows(len(numbers), self.stream.part.store)
        blocks = self.stream.blocks
        lie_in = np.searchsorted(blocks.begins, numbers, "right") - 1
        needed = np.unique(lie_in).tolist()
        for block, rows in zip(needed, self.stream.part.store.read(map(blocks.rows, needed)), strict=True):
            here = lie_in == block
            x[here] = rows.x.numpy()[self.stream.part.chosen(blocks.rows(block))[numbers[here] - blocks.begins[block]]]
        return self.stream.encoding.encode(torch.from_numpy(x).to(self.stream.device))

    def _refuse(self, index: Tensor) -> None:
        if not self.stream.part.store.any_order:
            raise UsageError(
                "a part of the model asks for training rows by number, which an IterableDataset cannot give: use data "
                "that can be indexed, or another prior"
            )
        if len(index) > self.stream.buffered:
            raise UsageError(
                f"a part of the model asks for {len(index):,} training rows at once, more than fit in memory: choose "
                "another prior, or more memory"
            )


@contextmanager
def counted_from(row: int, name: str) -> Iterator[None]:
    """Number a row that is refused as the store does, and name the store."""
    try:
        yield
    except RowError as error:
        raise DataError(f"{name}: {error.moved(row)}") from error


def _permuted(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def _buffered(blocks: Blocks, part: Part, batch_size: int, memory: int) -> int:
    """The rows of one of two buffers, in whole batches, such that they and a block at work stay within the memory."""
    row = row_bytes(part.store)
    left = memory * 2**20 - _COPIES * blocks.largest * row
    if left < memory * 2**19:
        needed = -(-2 * _COPIES * blocks.largest * row // 2**20)
        raise DataError(
            f"{part.store.name}: a block of {blocks.largest:,} rows is read as a whole, too much for {memory} MiB: "
            f"allow memory={needed}, or write the data anew in smaller row groups"
        )
    batches = left // (2 * (row + _NUMBERS) * batch_size)
    if not batches:
        raise UsageError(f"a batch of {batch_size:,} rows does not fit in {memory} MiB: allow more, or take fewer rows")
    return batches * batch_size
