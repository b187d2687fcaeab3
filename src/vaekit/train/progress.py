"""Watching a run: a bar on a terminal, plain lines elsewhere, and a line of JSON an epoch in a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vaekit.common.files import write_atomically
from vaekit.core import VAE
from vaekit.train.history import Epoch, Observer, Plan, Watcher, as_lines


def progress(stream: TextIO | None = None) -> Observer:
    """A progress bar where the stream is a terminal, plain lines where it is not; standard error by default."""
    console = Console(file=stream or sys.stderr)
    return Bar(console) if console.is_terminal else Lines(console)


def say(words: str) -> None:
    """One line on standard error."""
    print(words, file=sys.stderr)


def _summary(epoch: Epoch) -> str:
    seen = epoch.held_out or epoch.train
    kl = f"  KL {seen.total_kl:.2f}" if seen.kl else ""
    return f"{seen.measure} {seen.score:.2f}{kl}"


def _rate(epoch: Epoch) -> str:
    return f"{epoch.examples / epoch.seconds:,.0f} examples/s"


class Lines(Watcher):
    """One line an epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.epochs = self.before = 0
        self.spent = 0.0
        self.way = ""

    def begin(self, plan: Plan) -> None:
        """Note how many epochs there may be, and how many there were."""
        self.epochs, self.before = plan.epochs, len(plan.done)

    def epoch(self, epoch: Epoch, model: VAE) -> None:
        """Print the epoch's line."""
        self.spent += epoch.seconds
        left = self.spent / (epoch.number - self.before) * (self.epochs - epoch.number)
        of = "held-out " if epoch.held_out else ""
        line = f"epoch {epoch.number}/{self.epochs}  {of}{_summary(epoch)}  {_rate(epoch)}  {left:.0f} s left"
        way = "" if epoch.way == self.way else f"  ({epoch.way})"
        self.way = epoch.way
        self.console.print(line + way, highlight=False, soft_wrap=True)


class Bar(Watcher):
    """A bar over the whole run, with the last epoch's numbers."""

    EVERY = 16
    """Batches between two movements of the bar."""

    def __init__(self, console: Console) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[summary]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self.task = TaskID(0)
        self.plan = Plan(0, 0, 0)
        self.waiting = 0
        self.batches = 0

    def begin(self, plan: Plan) -> None:
        """Show the bar."""
        self.plan = plan
        total = plan.epochs * plan.examples
        following = min(len(plan.done) + 1, plan.epochs)
        self.task = self.bar.add_task(self._where(following), total=total, completed=plan.seen, summary="")
        self.bar.start()

    def batch(self, examples: int) -> None:
        """Move the bar, not at every batch."""
        self.waiting += examples
        self.batches += 1
        if self.batches % self.EVERY == 0:
            self._move()

    def epoch(self, epoch: Epoch, model: VAE) -> None:
        """Show the epoch's numbers."""
        self._move()
        following = min(epoch.number + 1, self.plan.epochs)
        numbers = f"{_summary(epoch)}  {_rate(epoch)}"
        self.bar.update(self.task, description=self._where(following), summary=numbers)

    def end(self) -> None:
        """Leave the bar as it is."""
        self.bar.stop()

    def _move(self) -> None:
        self.bar.advance(self.task, self.waiting)
        self.waiting = 0

    def _where(self, epoch: int) -> str:
        return f"epoch {epoch}/{self.plan.epochs}"


class JsonLines(Watcher):
    """A file with one line of JSON for each epoch; where a run goes on from a checkpoint, so does the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, plan: Plan) -> None:
        """Where a run goes on, leave the lines of the epochs that were done before, and no others."""
        if plan.seen:
            write_atomically(self.path, as_lines(plan.done))

    def epoch(self, epoch: Epoch, model: VAE) -> None:
        """Append the epoch's line."""
        with self.path.open("a") as file:
            file.write(as_lines([epoch]))
