"""Captured steps: on a GPU many updates are recorded once as one graph and replayed, without Python in between.

A small model's step is mostly the launching of kernels. A CUDA graph launches hundreds of them at once; all that an
update reads or writes is a tensor that stays where it is: the order of the rows, the position in it, the weights, the
optimiser's state, the number of steps done. Draws go on through the device's generator as they would without a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from vaekit.common.errors import first_line
from vaekit.train.means import Entries, entries_of
from vaekit.train.rows.batches import Resident
from vaekit.train.steps.updates import Updates

WARM_UP = 3
"""Updates before a capture: lazily made state has to be there, and kernels chosen."""
LONGEST = 64
"""Updates to a graph, at most."""
MANY = 8
"""Batches of an epoch below which recording does not pay."""
STEP_PER_REPLAY = 10
"""About how much longer a single step takes than the launching of a graph."""


class Recording(Protocol):
    """Work recorded once, to be done again and again."""

    def replay(self) -> None:
        """Do it again."""


Record = Callable[[Callable[[], None]], Recording]
"""Records what a function does on the device, without doing it."""


class StaticSteps:
    """Updates one after another through an epoch, of tensors that stay where they are.

    Only whole batches are taken so: their shape never changes.
    """

    def __init__(self, updates: Updates, training: Resident, several: int) -> None:
        self.updates, self.training, self.several = updates, training, several
        device, size = training.device, training.batch_size
        self.order = torch.zeros(training.examples, dtype=torch.long, device=device)
        self.position = torch.zeros((), dtype=torch.long, device=device)
        self._within = torch.arange(size, device=device)
        self.entered: list[Tensor] = []
        self.names: tuple[str, ...] = ()

    def begin(self, seed: int, start: int) -> None:
        """Lay out the order of an epoch, and stand before batch number `start`."""
        self.order.copy_(self.training.order(seed))
        self.position.fill_(start)

    def take(self) -> Entries:
        """The next update."""
        numbers = self.order[self.position * self.training.batch_size + self._within]
        entries = entries_of(self.updates.update(self.training.batch_of(numbers)))
        self.position.add_(1)
        return entries

    def take_several(self) -> None:
        """The next few updates; what they entered is kept where a graph would leave it."""
        taken = [self.take() for _ in range(self.several)]
        self.names = taken[0].names
        self.entered = [entries.rows for entries in taken]


class Captured:
    """The way of an epoch in which whole batches are updates of a recorded graph; the short last one is not.

    Where a step cannot be recorded (a part waits for the device), every update is taken by itself, and `words` says so.
    """

    def __init__(self, updates: Updates, training: Resident, record: Record | None = None) -> None:
        self.updates, self.training = updates, training
        self.record = record or as_cuda_graph
        self.whole = training.examples // training.batch_size
        self.steps = StaticSteps(updates, training, several_of(self.whole))
        self._recording: Recording | None = None
        self._warm = 0
        self._refused = "an epoch has few batches" if self.whole < MANY else ""

    @property
    def words(self) -> str:
        """Recorded, or why not; compiled or not."""
        recorded = f"recorded, {self.steps.several} steps to a graph"
        alone = f"step by step: not recorded ({self._refused})"
        return ", ".join([alone if self._refused else recorded, *self.updates.words])

    def epoch(self, seed: int, start: int = 0) -> Iterator[Entries]:
        """The updates of an epoch from batch number `start` on, and what they enter."""
        self.steps.begin(seed, start)
        position = start
        while position < self.whole:
            entries = self._next(self.whole - position)
            position += len(entries.sizes)
            yield entries
        for batch in self.training.shuffled(seed, max(start, self.whole)):
            yield entries_of(self.updates.update(batch))

    def _next(self, left: int) -> Entries:
        if left >= self.steps.several and self._warm >= WARM_UP and self._is_recorded():
            return self._replayed()
        self._warm += 1
        return self.steps.take()

    def _is_recorded(self) -> bool:
        if self._recording is None and not self._refused:
            self._try_to_record()
        return self._recording is not None

    def _try_to_record(self) -> None:
        """Record the steps. That does nothing on the device, but the count of updates that Python keeps moves."""
        done = self.updates.done
        try:
            self._recording = self.record(self.steps.take_several)
        except RuntimeError as error:
            self._refused = first_line(error)
        finally:
            self.updates.done = done

    def _replayed(self) -> Entries:
        assert self._recording is not None
        self._recording.replay()
        self.updates.done += self.steps.several
        sizes = (self.training.batch_size,) * self.steps.several
        return Entries(self.steps.names, torch.cat(self.steps.entered), sizes)


def several_of(batches: int) -> int:
    """How many updates go into a graph, so that few of an epoch's batches are left over for single steps.

    >>> several_of(468), several_of(421), several_of(7)
    (52, 60, 7)
    """
    return min(range(1, LONGEST + 1), key=lambda n: (STEP_PER_REPLAY * (batches % n) + batches // n, -n))


def as_cuda_graph(work: Callable[[], None]) -> Recording:
    """Record work as a CUDA graph."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph
