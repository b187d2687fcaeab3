"""Runs of `vaekit fit` that are killed again and again, and resumed each time: is the end the undisturbed run's?

   python benchmarks/kills.py                # 200 kills
   python benchmarks/kills.py --kills 10

Every life of a run is a process of its own: `vaekit fit` first, `vaekit fit --resume` from then on. At a random moment
it is sent SIGKILL, or one time in four SIGTERM or SIGINT. Most lives are forked from a process that has imported vaekit
and done nothing else, so that kills land in training; every tenth is a fresh interpreter, killed at any moment from
its start on. A run that comes to its end is compared with the undisturbed one, and another is begun. After each kill
the newest checkpoint is read: it must be whole, and no older than the one before. The updates that a kill cost are not
known exactly: at most all since that checkpoint, up to the end of the epoch after the last one in the history. The
record goes to benchmarks/results/kills.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import records
import torch

import vaekit.cli.fitting  # noqa: F401, imported once for all the lives that are forked
from vaekit.cli.app import app
from vaekit.cli.launch import launch
from vaekit.model import load_model
from vaekit.store import read_history
from vaekit.train import describe
from vaekit.train.resume.checkpoint import Checkpoints

ROWS, BATCH, HELD_OUT = 640, 32, 0.2
BATCHES = int(ROWS * (1 - HELD_OUT)) // BATCH
GENTLE = {signal.SIGTERM: 143, signal.SIGINT: 130}
"""Signals after which a run keeps where it is, and the exit codes they end in."""
SETTINGS = ["--recipe", "vae", "--model.latent", "4", "--model.hidden", "64", "--binarize", "dynamic", "--ema", "0.99"]
SETTINGS += ["--batch-size", str(BATCH), "--validation", str(HELD_OUT), "--patience", "1000000", "--samples", "10"]
SETTINGS += ["--device", "cpu", "--quiet"]


@dataclass
class Tally:
    """What came of it."""

    kills: dict[str, int] = field(default_factory=dict)
    resumes: int = 0
    runs: int = 0
    lost_updates_at_most: int = 0
    gentle_exits_wrong: int = 0
    checkpoints_lost: int = 0
    identical: bool = True

    @property
    def killed(self) -> int:
        """All kills, by whatever signal."""
        return sum(self.kills.values())


class Life:
    """One process of a run."""

    def __init__(self, argv: list[str], said: Path, fresh: bool) -> None:
        self.code: int | None = None
        self.said = said
        self.pid = _spawned(argv, said) if fresh else _forked(argv, said)

    def is_over(self, *, wait: bool = False) -> bool:
        """Whether it has ended; its exit code is then known, or the negative number of the signal that ended it."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    def lives_until(self, come: Callable[[], bool]) -> bool:
        """Wait until something has come; False if it ended before."""
        while not come():
            if self.is_over():
                return False
            time.sleep(0.01)
        return True

    def refuse_failure(self) -> None:
        """Stop everything if it ended by itself, and not well."""
        if self.code:
            raise SystemExit(f"a life ended by itself with {self.code}: {self.said.read_text()}")

    def end(self, number: int) -> bool:
        """Send it a signal and wait for its end; False where it had ended before."""
        if self.is_over():
            return False
        os.kill(self.pid, number)
        return self.is_over(wait=True)


def _spawned(argv: list[str], said: Path) -> int:
    files = [(os.POSIX_SPAWN_OPEN, number, said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) for number in (1, 2)]
    command = [sys.executable, "-m", "vaekit", *argv]
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=files, setsigdef=GENTLE)


def _forked(argv: list[str], said: Path) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = launch(app, argv)
    finally:
        os._exit(code)


class Story:
    """A run, told by its directory."""

    def __init__(self, out: Path, source: Path, epochs: int) -> None:
        self.out, self.said = out, out.with_suffix(".said")
        self.first = ["fit", str(source), "--out", str(out), "--epochs", str(epochs), *SETTINGS]

    @property
    def is_finished(self) -> bool:
        return (self.out / "metrics.json").exists()

    @property
    def words(self) -> list[str]:
        """The command line of its next life."""
        return ["fit", "--resume", str(self.out), "--quiet"] if self.has_begun else self.first

    @property
    def has_begun(self) -> bool:
        return (self.out / "config.toml").exists()

    @property
    def begun_at(self) -> int:
        """When training began last, as a file's time has it."""
        try:
            return (self.out / "config.toml").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    @property
    def kept(self) -> int:
        """Updates up to the newest checkpoint, which is read."""
        newest = Checkpoints(self.out / "checkpoints").newest()
        return 0 if newest is None else newest.state["run"]["updates"]["done"]

    @property
    def lived(self) -> int:
        """Updates that were done, at most."""
        with contextlib.suppress(FileNotFoundError):
            return BATCHES * (1 + len((self.out / "history.jsonl").read_text().splitlines()))
        return 0

    def equals(self, other: Story) -> bool:
        """Whether weights, history and results are the same to the bit, times apart."""
        one, two = (load_model(story.out / "model", device="cpu").model.state_dict() for story in (self, other))
        same = one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
        return same and self._told == other._told

    @property
    def _told(self) -> list[Any]:
        epochs = [epoch.as_record() | {"seconds": None} for epoch in read_history(self.out / "history.jsonl")]
        results = json.loads((self.out / "metrics.json").read_text())
        return [epochs, results["held_out"]]


def live_on(story: Story) -> None:
    """Let a run come to its end."""
    life = Life(story.words, story.said, fresh=False)
    life.is_over(wait=True)
    life.refuse_failure()


def disturb(story: Story, tally: Tally, chance: random.Random, span: float, kills: int) -> None:
    """Kill and resume a run until it has come to its end, or until there were enough kills; then let it live."""
    while not story.is_finished:
        if tally.killed >= kills:
            live_on(story)
            tally.resumes += 1
            continue
        number = chance.choice([signal.SIGKILL] * 6 + [signal.SIGTERM, signal.SIGINT])
        _one_life(story, tally, chance, span, number)


def _one_life(story: Story, tally: Tally, chance: random.Random, span: float, number: signal.Signals) -> None:
    fresh, before, kept = tally.killed % 10 == 9, story.begun_at, story.kept
    tally.resumes += story.has_begun
    begun, life = time.monotonic(), Life(story.words, story.said, fresh)
    in_training = fresh or life.lives_until(lambda: story.begun_at != before)
    moment = time.monotonic() + chance.expovariate(1 / span)
    if fresh:
        moment = begun + chance.uniform(0, 5.0)
    if in_training and life.lives_until(lambda: time.monotonic() >= moment) and life.end(number):
        _enter(story, tally, number, life.code, kept, was_training=not fresh)
    else:
        life.refuse_failure()


def _enter(story: Story, tally: Tally, number: signal.Signals, code: int | None, kept: int, was_training: bool) -> None:
    tally.kills[number.name] = tally.kills.get(number.name, 0) + 1
    now = story.kept
    tally.checkpoints_lost += now < kept
    tally.lost_updates_at_most = max(tally.lost_updates_at_most, story.lived - now)
    if was_training and number in GENTLE:
        tally.gentle_exits_wrong += code != GENTLE[number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=600, help="of each run")
    parser.add_argument("--span", type=float, default=0.5, help="seconds of training to a kill, on average")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    begun, tally, chance = time.monotonic(), Tally(), random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "rows.npy"
        np.save(source, np.random.default_rng(0).random((ROWS, 1, 8, 8)).astype(np.float32))
        undisturbed = Story(Path(folder) / "undisturbed", source, asked.epochs)
        live_on(undisturbed)
        alone = time.monotonic() - begun
        while tally.killed < asked.kills:
            tally.runs += 1
            story = Story(Path(folder) / f"disturbed-{tally.runs}", source, asked.epochs)
            disturb(story, tally, chance, asked.span, asked.kills)
            tally.identical &= story.equals(undisturbed)
            print(f"{tally.killed} kills, {tally.resumes} resumes, identical: {tally.identical}", flush=True)
    record = {
        **asdict(tally),
        "kills": tally.killed,
        "signals": tally.kills,
        "epochs": asked.epochs,
        "updates": asked.epochs * BATCHES,
        "seconds": time.monotonic() - begun,
        "seconds_undisturbed": alone,
        "device": describe(torch.device("cpu")),
    }
    records.write("kills", record)


def told(record: Mapping[str, Any]) -> str:
    """The record as a section of RESULTS.md."""
    signals = ", ".join(f"{count} {name}" for name, count in record["signals"].items())
    same = "identical to the bit" if record["identical"] else "**not identical**"
    return records.section(
        f"Runs that are killed and resumed: {record['device']}, torch {record['torch']}, {record['date']}",
        f"python benchmarks/kills.py --kills {record['kills']}",
        ("kills", "resumes", "against the undisturbed run", "checkpoints lost", "updates a kill cost, at most", "time"),
        [
            (
                f"{record['kills']} ({signals})",
                record["resumes"],
                f"{record['runs']} runs of {record['updates']:,} updates each: {same}",
                record["checkpoints_lost"],
                record["lost_updates_at_most"],
                f"{record['seconds'] / 60:.1f} min",
            )
        ],
    )


if __name__ == "__main__":
    main()
