"""Who keeps a run: when a checkpoint is written, and how a run goes on from one."""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from vaekit.common.errors import DataError, UsageError
from vaekit.common.interrupts import Deferred
from vaekit.train.ranks.world import ALONE, World
from vaekit.train.resume.checkpoint import Checkpoint, Checkpoints, CheckpointWarning
from vaekit.train.resume.identity import Identity


class Resumable(Protocol):
    """A run that can be put down and taken up again."""

    @property
    def position(self) -> tuple[int, int]:
        """The epoch it is in, counted from 1, and how many batches of that epoch are done."""

    def state(self) -> dict[str, Any]:
        """What the rest of the run depends on, and is the same in every process."""

    def own_state(self) -> dict[str, Any]:
        """What else it depends on, that each process has its own of."""

    def load(self, state: dict[str, Any], own: dict[str, Any]) -> None:
        """Go on from such states."""

    def refuse_faults(self) -> None:
        """Raise `TrainingDiverged` where a term or a weight is no finite number."""


EVERY: Final = 16
"""Updates between two times that ranks ask each other whether to write, as asking takes time."""
SAME: Final = 2.0
"""Seconds within which a rank takes a further signal for the same one, from torchrun after the terminal."""


@dataclass(frozen=True)
class Keeping:
    """Where and how often the state of a run is kept.

    Raises `UsageError` for a number out of its range.

    >>> Keeping("runs/first/checkpoints", minutes=30)
    Keeping(path='runs/first/checkpoints', minutes=30, last=2, share=0.05, force=False)
    """

    path: str | Path
    minutes: float = 10.0
    """Within an epoch a checkpoint is written this often; after each epoch there is one in any case."""
    last: int = 2
    """How many checkpoints are kept; the best weights so far are in each."""
    share: float = 0.05
    """The largest part of the time that writing may take: where epochs are short, not each is kept."""
    force: bool = False
    """Begin anew in a place that holds checkpoints, and remove them."""

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.last < 1 or not 0 < self.share <= 1:
            raise UsageError(f"{self}: minutes are positive, last is at least 1, and share lies above 0, up to 1")


@dataclass
class Rhythm:
    """When to write: after an epoch, or after some minutes, but never for more than a share of the time.

    >>> now = iter([0.0, 1.0, 3.0, 4.0, 42.9, 43.1, 663.0])
    >>> rhythm = Rhythm(minutes=10.0, share=0.05, clock=lambda: next(now))
    >>> with rhythm.writing():  # from second 1 to second 3
    ...     pass
    >>> [rhythm.after_epoch(), rhythm.after_epoch(), rhythm.after_epoch(), rhythm.within_epoch()]
    [False, False, True, True]
    """

    minutes: float
    share: float
    clock: Callable[[], float] = time.monotonic
    cost: float = 0.0
    """Seconds that the last checkpoint took."""
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.last = self.clock()

    def after_epoch(self) -> bool:
        """Whether a checkpoint is due where an epoch has ended."""
        return self.clock() - self.last >= self.cost / self.share

    def within_epoch(self) -> bool:
        """Whether one is due in the midst of an epoch."""
        return self.clock() - self.last >= max(60 * self.minutes, self.cost / self.share)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Measure what is done inside the block."""
        begun = self.clock()
        try:
            yield
        finally:
            self.last = self.clock()
            self.cost = self.last - begun


class Careless:
    """Keeps nothing."""

    def resume(self, run: Resumable) -> bool:
        """Nothing to go on from."""
        return False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Signals are left to themselves."""
        yield

    def after_update(self, run: Resumable) -> None:
        """Do nothing."""

    def after_epoch(self, run: Resumable) -> None:
        """Do nothing."""

    def after_all(self, run: Resumable) -> None:
        """Do nothing."""


class Keeper(Careless):
    """Writes checkpoints of a run as it goes, and lets it go on from the newest.

    SIGINT and SIGTERM wait for the next update; then a checkpoint is written, and whoever handled them before is
    called. The second signal is not waited for. A checkpoint that finds no room is a warning, and the run goes on.

    Args:
        keeping: where and how often.
        identity: what makes the run the same run; checked before it goes on.
        resume: whether to go on from the newest checkpoint, where there is one.
        label: anything else to be found in each checkpoint, for who opens it without the run.
        world: the ranks that train together; the first writes.

    Raises `UsageError` where there are checkpoints already, and the run is neither to go on nor to replace them.
    """

    def __init__(
        self,
        keeping: Keeping,
        identity: Identity,
        resume: bool = False,
        label: Mapping[str, Any] | None = None,
        world: World = ALONE,
    ) -> None:
        self.checkpoints = Checkpoints(Path(keeping.path), keeping.last)
        self.identity, self.going_on, self.label = identity, resume, dict(label or {})
        self.world = world
        self.rhythm = Rhythm(keeping.minutes, keeping.share)
        self._signals = Deferred(signal.SIGINT, signal.SIGTERM, same=0.0 if world.size == 1 else SAME)
        self._failing = False
        if self.checkpoints.found() and not (resume or keeping.force):
            raise UsageError(
                f"{keeping.path} holds the checkpoints of a run: go on with it by resume, or choose another place"
            )

    def resume(self, run: Resumable) -> bool:
        """Put a run where the newest checkpoint is, if it is to go on and there is one; whether there was.

        Raises `UsageError` for a checkpoint of another run, `ModelFileError` where none is whole.
        """
        newest = self.checkpoints.newest() if self.going_on else None
        if newest is not None:
            self._refuse_another_run(newest)
            run.load(newest.state["run"], newest.state["ranks"][self.world.rank])
        if self.world.leads:
            self.checkpoints.go_on_from(None if newest is None else newest.path)
        return newest is not None

    def _refuse_another_run(self, newest: Checkpoint) -> None:
        try:
            before, ranks = Identity(**newest.state["identity"]), len(newest.state["ranks"])
            for words in self.identity.compare(before, newest.path):
                warnings.warn(words, CheckpointWarning, stacklevel=2)
        except (LookupError, TypeError) as error:
            raise UsageError(f"the checkpoint {newest.path} was not written by a run of vaekit's") from error
        if self.world.size != ranks:
            raise UsageError(f"the checkpoint {newest.path} is of {ranks} processes: go on with as many")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """A scope in which signals wait for the next update."""
        with self._signals:
            yield

    def after_update(self, run: Resumable) -> None:
        """Write if it is time, or if the run is to end; nothing is asked of the device otherwise."""
        if self.world.size == 1 or run.position[1] % EVERY == 0:
            self._keep_if(self.rhythm.within_epoch(), run)

    def after_epoch(self, run: Resumable) -> None:
        """Write if it is time, or if the run is to end."""
        self._keep_if(self.rhythm.after_epoch(), run)

    def after_all(self, run: Resumable) -> None:
        """Write the state of a run that has come to its end."""
        self._keep(run)

    def _keep_if(self, due: bool, run: Resumable) -> None:
        if self.world.any(due or self._signals.caught is not None):
            self._keep(run)
            self._signals.deliver()

    def _keep(self, run: Resumable) -> None:
        run.refuse_faults()
        with self.rhythm.writing():
            state = run.state()
            ranks = self.world.collected(run.own_state())
            if self.world.leads:
                self._write(run.position, {"run": state, "ranks": ranks, **self._about})

    @property
    def _about(self) -> dict[str, Any]:
        return {"identity": vars(self.identity), "label": self.label}

    def _write(self, position: tuple[int, int], state: dict[str, Any]) -> None:
        """Write a checkpoint; the first of several that find no room is told of."""
        try:
            self.checkpoints.write(*position, state)
            self._failing = False
        except DataError as error:
            if not self._failing:
                words = f"{error}; the run goes on, and the checkpoint before is kept"
                warnings.warn(words, CheckpointWarning, stacklevel=2)
            self._failing = True
