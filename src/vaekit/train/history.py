"""What a run leaves to read: one record an epoch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from vaekit.core import VAE
from vaekit.train.means import Means


@dataclass(frozen=True)
class Epoch:
    """One epoch: means over the training examples as they were seen, and over the held-out ones after it."""

    number: int
    train: Means
    held_out: Means | None
    learning_rate: float
    seconds: float
    examples: int
    way: str = ""
    """How its updates were carried out: step by step, or as recorded graphs; compiled or not, and why not."""

    @property
    def score(self) -> float:
        """What early stopping watches: the held-out ELBO, or the training ELBO where nothing is held out.

        Of a model without a bound it is the log-likelihood of the reconstruction.
        """
        return (self.held_out or self.train).score

    def as_record(self) -> dict[str, Any]:
        """One line of `history.jsonl`."""
        return {
            "epoch": self.number,
            "train": self.train.as_record(),
            "held_out": self.held_out.as_record() if self.held_out else None,
            "learning_rate": self.learning_rate,
            "seconds": self.seconds,
            "examples": self.examples,
            "way": self.way,
        }

    @staticmethod
    def from_record(record: dict[str, Any]) -> Epoch:
        """An epoch from its line of `history.jsonl`."""
        held_out = Means(**record["held_out"]) if record["held_out"] else None
        own = {key: record[key] for key in ("learning_rate", "seconds", "examples")}
        return Epoch(record["epoch"], Means(**record["train"]), held_out, **own, way=record.get("way", ""))


def as_lines(epochs: Iterable[Epoch]) -> str:
    """What a `history.jsonl` holds of these epochs: one line of JSON each."""
    return "".join(json.dumps(epoch.as_record()) + "\n" for epoch in epochs)


@dataclass(frozen=True)
class Plan:
    """What a run is about to do."""

    epochs: int
    batches: int
    examples: int
    seen: int = 0
    """Examples that were seen before, where a run goes on from a checkpoint."""
    done: tuple[Epoch, ...] = ()
    """The epochs that were done before."""


@dataclass(frozen=True)
class Trained:
    """A trained model, in evaluation mode, with the weights that are to be kept, and its history."""

    model: VAE
    history: tuple[Epoch, ...]
    best_epoch: int

    @property
    def seconds(self) -> float:
        """Time spent in epochs."""
        return sum(epoch.seconds for epoch in self.history)

    @property
    def examples_per_second(self) -> float:
        """Training examples seen for each second of an epoch."""
        return sum(epoch.examples for epoch in self.history) / self.seconds if self.history else 0.0

    @property
    def results(self) -> dict[str, float]:
        """How far it came, and how fast."""
        return {
            "epochs": len(self.history),
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "examples_per_second": self.examples_per_second,
        }


class Observer(Protocol):
    """Somebody who watches a run: a progress bar, a log, a keeper of checkpoints."""

    def begin(self, plan: Plan) -> None:
        """Before the first step."""

    def batch(self, examples: int) -> None:
        """After each step; must not wait for the device."""

    def epoch(self, epoch: Epoch, model: VAE) -> None:
        """After each epoch that ended well, with the model as it would be evaluated."""

    def end(self) -> None:
        """After the last step, also when the run failed."""


class Watcher:
    """An observer that does nothing, to say only what differs."""

    def begin(self, plan: Plan) -> None:
        """Do nothing."""

    def batch(self, examples: int) -> None:
        """Do nothing."""

    def epoch(self, epoch: Epoch, model: VAE) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""
