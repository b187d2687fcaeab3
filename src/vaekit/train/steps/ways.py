"""Ways through an epoch: how its updates are carried out, one by one or as recorded graphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from vaekit.train.means import Entries, entries_of
from vaekit.train.rows.batches import Resident
from vaekit.train.rows.source import Source
from vaekit.train.settings import CAPTURABLE
from vaekit.train.steps.captured import Captured
from vaekit.train.steps.updates import Updates


class Way(Protocol):
    """How the updates of an epoch are carried out."""

    @property
    def words(self) -> str:
        """The way that was taken, in words for the log."""

    def epoch(self, seed: int, start: int = 0) -> Iterator[Entries]:
        """The updates of an epoch in the order of this seed, from batch number `start` on, and what they enter."""


class OneByOne:
    """Each batch is an update of its own: works for every model, source and device."""

    def __init__(self, updates: Updates, training: Source) -> None:
        self.updates, self.training = updates, training

    @property
    def words(self) -> str:
        """Step by step, compiled or not."""
        return ", ".join(["step by step", *self.updates.words])

    def epoch(self, seed: int, start: int = 0) -> Iterator[Entries]:
        """The updates of an epoch, and what each enters."""
        for batch in self.training.shuffled(seed, start):
            yield replace(entries_of(self.updates.update(batch)), sizes=(batch.counted,))


def way_through(updates: Updates, training: Source) -> Way:
    """The fastest way there is: recorded graphs on a GPU for data that lie there, else one by one.

    >>> import torch
    >>> from vaekit.data import BINARIZE, Encoding, dataset
    >>> from vaekit.recipes import build
    >>> from vaekit.train import Settings
    >>> training = Resident(dataset(torch.rand(8, 6)), Encoding(BINARIZE["none"]()), 4, torch.device("cpu"))
    >>> way_through(Updates(*build("vae", (6,)), Settings(), training.device), training).words
    'step by step'
    """
    if isinstance(training, Resident) and _can_be_recorded(updates, training):
        return Captured(updates, training)
    return OneByOne(updates, training)


def _can_be_recorded(updates: Updates, training: Resident) -> bool:
    """Whether all of a step is on a GPU, for one process, with an optimiser that waits for nothing."""
    alone = updates.strategy.world.size == 1
    return training.device.type == "cuda" and alone and updates.settings.optimizer in CAPTURABLE
