"""The world of a run: the processes, called ranks, that train one model together; mostly there is but one."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from vaekit.common.errors import UsageError, VaekitError
from vaekit.common.telling import leave_telling

T = TypeVar("T")

PATIENCE: Final = timedelta(minutes=10)
"""How long a rank waits for the others before it gives up."""
_APART: Final = 1_000_000_007
"""A prime: seeds of ranks and seeds of runs meet only far out."""


class RankLost(VaekitError):
    """Another rank ended, or stayed away for too long, while this one waited for it."""


class World(ABC):
    """The ranks of a run, seen from one of them.

    What all ranks do together (everything from `sum` on) each of them has to call, in the same order. It is a
    `Company` for parts that learn from whole batches.
    """

    rank: int
    """The number of this one, from 0."""
    size: int
    """How many there are."""

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes files and shows progress."""
        return self.rank == 0

    def number(self, own: int) -> int:
        """The number among all of what is this rank's own number so-and-so, where ranks take turns."""
        return own * self.size + self.rank

    def seed(self, seed: int) -> int:
        """The seed of this rank's own noise; the first rank's is the run's."""
        return (seed + self.rank * _APART) % 2**63

    def batch(self, whole: int) -> int:
        """The examples of a batch that are this rank's.

        Raises `UsageError` where it cannot be shared evenly.

        >>> ALONE.batch(128)
        128
        """
        own, rest = divmod(whole, self.size)
        if rest:
            nearest = " or ".join(str(n * self.size) for n in (own, own + 1) if n)
            raise UsageError(f"batch_size {whole} cannot be shared evenly by {self.size} ranks: choose {nearest}")
        return own

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        return any(self.collected(flag))

    @abstractmethod
    def sum(self, value: Tensor) -> Tensor:
        """The sum of every rank's value, elementwise, to the bit the same on all; it may be left in `value`."""

    @abstractmethod
    def agreed(self, value: Tensor) -> Tensor:
        """The first rank's value; it may be left in `value`."""

    @abstractmethod
    def gathered(self, rows: Tensor) -> Tensor:
        """The rows of every rank, the first rank's first; their numbers may differ. No gradient goes through."""

    @abstractmethod
    def collected(self, thing: T) -> list[T]:
        """What every rank has, in the order of ranks."""

    @abstractmethod
    def meet(self) -> None:
        """Wait until every rank is here."""


class Alone(World):
    """A world of one, which has nobody to wait for.

    >>> ALONE.leads, ALONE.seed(7), ALONE.collected("all")
    (True, 7, ['all'])
    """

    rank, size = 0, 1

    def sum(self, value: Tensor) -> Tensor:
        """The value itself."""
        return value

    def agreed(self, value: Tensor) -> Tensor:
        """The value itself."""
        return value

    def gathered(self, rows: Tensor) -> Tensor:
        """The rows themselves."""
        return rows

    def collected(self, thing: T) -> list[T]:
        """The one thing there is."""
        return [thing]

    def meet(self) -> None:
        """Do not wait."""


ALONE: Final = Alone()


class Ranks(World):
    """The ranks of torch's process group, which has to be there.

    Raises `RankLost` where another rank does not answer.
    """

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def sum(self, value: Tensor) -> Tensor:
        """By an all-reduce."""
        with self._others():
            dist.all_reduce(value)
        return value

    def agreed(self, value: Tensor) -> Tensor:
        """By a broadcast."""
        with self._others():
            dist.broadcast(value, src=0)
        return value

    def gathered(self, rows: Tensor) -> Tensor:
        """By an all-gather of as many rows as the longest has."""
        sizes = self._sizes(rows)
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        with self._others():
            dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def _sizes(self, rows: Tensor) -> list[int]:
        own = torch.tensor([len(rows)], device=rows.device)
        sizes = [torch.empty_like(own) for _ in range(self.size)]
        with self._others():
            dist.all_gather(sizes, own)
        return [int(size) for size in sizes]

    def collected(self, thing: T) -> list[T]:
        """By an all-gather of objects."""
        things: list[T] = [thing] * self.size
        with self._others():
            dist.all_gather_object(things, thing)
        return things

    def meet(self) -> None:
        """By an exchange of nothing."""
        self.collected(None)

    @contextmanager
    def _others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise RankLost(
                f"rank {self.rank} of {self.size} got no answer from another: it was killed, or waits elsewhere; "
                "start the run again"
            ) from error


@contextmanager
def joining(patience: timedelta = PATIENCE) -> Iterator[World]:
    """The world that torchrun has made, joined for as long as the block; alone where there is none.

    An error that ends the block on a rank ends the others too, as they lose it; the first to meet it tells.

    Raises `UsageError` where the environment is half of torchrun's.

    >>> with joining() as world:
    ...     world.size
    1
    """
    if dist.is_available() and dist.is_initialized():
        yield Ranks()
    elif _setting("WORLD_SIZE", "1") == 1:
        yield ALONE
    else:
        with _joined(patience) as world:
            yield world


@contextmanager
def _joined(patience: timedelta) -> Iterator[World]:
    # Exchanges and optimisers may load this. Loaded while there is a process group, it keeps the group's threads alive
    # past the group's end, and a thread that outlives the interpreter aborts the process.
    importlib.import_module("torch._dynamo")
    store, rank, size = _meeting_place(patience)
    try:
        dist.init_process_group(store=PrefixStore("group", store), rank=rank, world_size=size, timeout=patience)
        yield Ranks()
    except BaseException as error:
        _end_undisturbed()
        leave_telling(error, here=_is_first(store))
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _end_undisturbed() -> None:
    """Let an end take its course: torchrun, which ends the ranks when one does, signals those that are ending too."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _meeting_place(patience: timedelta) -> tuple[Store, int, int]:
    _setting("RANK")
    try:
        found: tuple[Store, int, int] = next(iter(rendezvous("env://", timeout=patience)))
        return found
    except ValueError as error:
        raise UsageError(f"the ranks cannot meet: {error}; start them by torchrun") from error


def _is_first(store: Store) -> bool:
    """Whether nobody has told of an error before; also where nobody is left to ask."""
    try:
        return store.add("told", 1) == 1
    except RuntimeError:
        return True


def local_rank() -> int | None:
    """The number of this rank on its machine, from torchrun; None where there is no torchrun.

    >>> local_rank() is None or local_rank() >= 0
    True
    """
    return _setting("LOCAL_RANK") if "LOCAL_RANK" in os.environ else None


def _setting(name: str, default: str | None = None) -> int:
    """A whole number of the environment."""
    value = os.environ.get(name, default)
    if value is None or not value.isdecimal():
        raise UsageError(f"{name} is {value} in the environment, not a whole number: start the ranks by torchrun")
    return int(value)
