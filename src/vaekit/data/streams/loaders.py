"""Any `torch.utils.data.DataLoader` as a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Size, Tensor
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler, default_collate

from vaekit.common.errors import DataError, UsageError
from vaekit.data.dataset import Dataset
from vaekit.data.layout import canonical_labels, canonical_rows
from vaekit.data.streams.parts import joined
from vaekit.data.streams.store import Store, even_edges, refuse_gaps


def loader_store(loader: DataLoader[Any]) -> Store:
    """The rows of a `DataLoader` that yields tensors, or pairs of a tensor and labels.

    A data set that can be indexed is read by number: the loader's workers and collation are kept, its order is not,
    as the seed of the run decides it. An `IterableDataset` is taken as it comes; it must yield the same rows, in the
    same order, in each pass.

    Raises `UsageError` for a sampler that chooses rows in a way of its own.

    >>> from torch.utils.data import TensorDataset
    >>> store = loader_store(DataLoader(TensorDataset(torch.eye(3)), batch_size=2))
    >>> next(store.read([range(1, 3)])).x
    tensor([[0., 1., 0.],
            [0., 0., 1.]])
    """
    return PassingStore(loader) if isinstance(loader.dataset, IterableDataset) else IndexedStore(loader)


class IndexedStore:
    """A loader's data set, read by number by the loader's own workers.

    What the data set draws (augmentation) comes from a generator apart, so that the run's own draws are not touched.
    """

    name = "DataLoader"
    any_order = True
    beside = False

    def __init__(self, loader: DataLoader[Any]) -> None:
        _refuse_own_sampler(loader)
        self.loader = loader
        if not len(self):
            raise DataError("the DataLoader's data set is empty: give at least one row")
        first = next(self.read([range(1)]))
        self.event_shape: Size = first.event_shape
        self.dtype: torch.dtype = first.x.dtype
        self.labelled: bool = first.y is not None

    def __len__(self) -> int:
        return len(self.loader.dataset)  # type: ignore[arg-type]

    def edges(self, rows: int) -> np.ndarray:
        """Blocks of the loader's batch size, or smaller."""
        return even_edges(len(self), min(rows, self.loader.batch_size or 1))

    def read(self, blocks: Iterable[range], seed: int = 0) -> Iterator[Dataset]:
        """See `Store.read`."""
        asked: list[range] = []
        for item in apart(self._fetched(blocks, asked, seed), seed):
            block = asked.pop(0)
            rows = _rows(item, block.start)
            if len(rows) != len(block):
                raise DataError(f"{self.name}: {len(rows)} rows came for {len(block)} numbers: mend its collate_fn")
            yield rows

    def _fetched(self, blocks: Iterable[range], asked: list[range], seed: int) -> Iterator[Any]:
        numbers = _Noted(blocks, asked)
        theirs = self.loader
        collate = default_collate if theirs.batch_sampler is None else theirs.collate_fn
        working: dict[str, Any] = {
            "prefetch_factor": theirs.prefetch_factor,
            "multiprocessing_context": theirs.multiprocessing_context,
        }
        yield from DataLoader(
            theirs.dataset,
            batch_sampler=numbers,
            collate_fn=collate,
            num_workers=theirs.num_workers,
            worker_init_fn=theirs.worker_init_fn,
            timeout=theirs.timeout,
            generator=torch.Generator().manual_seed(seed),
            **(working if theirs.num_workers else {}),
        )


class PassingStore:
    """The rows of a loader over an `IterableDataset`, as they come.

    Where its length is not known, one pass counts the rows. What is not asked for is drawn and dropped.
    """

    name = "DataLoader"
    any_order = False
    beside = False

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader
        first = next(self._passing(0), None)
        if first is None:
            raise DataError("the DataLoader yields nothing: give at least one row")
        self.event_shape: Size = first.event_shape
        self.dtype: torch.dtype = first.x.dtype
        self.labelled: bool = first.y is not None
        self._rows = _length(loader.dataset) or sum(len(rows) for rows in self._passing(0))

    def __len__(self) -> int:
        return self._rows

    def edges(self, rows: int) -> np.ndarray:
        """Blocks of `rows` rows, whatever batches they come in."""
        return even_edges(len(self), rows)

    def read(self, blocks: Iterable[range], seed: int = 0) -> Iterator[Dataset]:
        """See `Store.read`; blocks must ascend."""
        passing, at, rest = self._passing(seed), 0, None
        for block in blocks:
            parts: list[Dataset] = []
            while at < block.stop:
                rest = rest or next(passing, None)
                if rest is None:
                    raise DataError(f"{self.name}: {at} rows came, but its length is {len(self)}: mend its __len__")
                taken = min(len(rest), (block.start if at < block.start else block.stop) - at)
                if at >= block.start:
                    parts.append(rest.head(taken))
                at, rest = at + taken, rest.take(range(taken, len(rest))) if taken < len(rest) else None
            yield joined(parts)

    def _passing(self, seed: int) -> Iterator[Dataset]:
        first = 0
        for item in apart(_batches(self.loader), seed):
            rows = _rows(item, first)
            first += len(rows)
            yield rows


class _Noted:
    """Numbers of rows as a loader's batches, noted in the order in which they were asked for."""

    def __init__(self, blocks: Iterable[range], asked: list[range]) -> None:
        self.blocks, self.asked = blocks, asked

    def __iter__(self) -> Iterator[list[int]]:
        for block in self.blocks:
            self.asked.append(block)
            yield list(block)


def apart(items: Iterator[Any], seed: int) -> Iterator[Any]:
    """The items, each made while torch's global generator stands aside for one of this seed.

    >>> before = torch.random.get_rng_state()
    >>> drawn = list(apart((torch.rand(1) for _ in range(2)), seed=0))
    >>> torch.equal(before, torch.random.get_rng_state()), drawn[0].equal(drawn[1])
    (True, False)
    """
    state = torch.Generator().manual_seed(seed).get_state()
    while True:
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(state)
            item = next(items, None)
            state = torch.random.get_rng_state()
        if item is None:
            return
        yield item


def _batches(loader: DataLoader[Any]) -> Iterator[Any]:
    """A loader's batches; its iterator, which draws, is made when the first is asked for."""
    yield from loader


def _rows(item: Any, first: int) -> Dataset:
    x, *others = item if isinstance(item, (tuple, list)) else (item,)
    if not isinstance(x, Tensor) or len(others) > 1:
        raise UsageError("the DataLoader yields neither tensors nor pairs (tensor, label): give it a collate_fn")
    y = canonical_labels(others[0]) if others else None
    return refuse_gaps(Dataset(canonical_rows(x.cpu()), y, "DataLoader"), first, "DataLoader")


def _length(dataset: Any) -> int | None:
    try:
        return len(dataset)
    except TypeError:
        return None


def _refuse_own_sampler(loader: DataLoader[Any]) -> None:
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    if type(sampler) not in (SequentialSampler, RandomSampler):
        raise UsageError(
            f"the DataLoader has a sampler of its own ({type(sampler).__name__}), but vaekit deals its rows out by "
            "number: leave the sampler out, or yield the rows it chooses from an IterableDataset"
        )
