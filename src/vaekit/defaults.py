"""Defaults: a sensible size and training for a table of so many rows and columns, each choice with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2, sqrt
from typing import Any, Final, Generic, TypeVar

from vaekit.common.errors import UsageError

TELLS: Final = {"binary": 0.5, "constant": 0.0, "identifier": 0.0}
"""How many numbers' worth a column tells of a row, by its kind; 1 for kinds that are not listed."""

LATENTS: Final = 64
"""The most latent coordinates."""

WIDTHS: Final = (6, 9)
"""The narrowest and the widest hidden layer, as powers of two."""

BATCHES: Final = (5, 10)
"""The smallest and the largest batch, as powers of two."""

EPOCHS: Final = (20, 500)
"""The fewest and the most passes over the rows."""

UPDATES: Final = (2000, 3000)
"""The most updates for a few hundred rows, and for a thousand: from there they grow with the cube root of the rows."""

PER_ROW: Final = 20
"""The most updates to a row: where there are very few, more would learn them by heart."""

FEW: Final = 1000
"""Of fewer rows than this models of several seeds differ, and are better together."""

MANY: Final = 10_000
"""From so many rows on, completion trains as long as anything else."""

DETECTING: Final = 2500
"""The most updates after which odd rows are told from normal ones, unless one pass takes more."""

CLOSELY: Final = 100
"""From so many normal rows on they are learnt closely, to tell new ones that are not."""

TELLING: Final = 800
"""Updates after which classes are told apart, where rows are few."""

HELD_OUT: Final = 10_000
"""Rows that are enough to tell when training should stop."""


V = TypeVar("V")


@dataclass(frozen=True)
class Chosen(Generic[V]):
    """A value, and why it was chosen.

    >>> print(Chosen(32, "about the square root of 1,000 rows"))
    32: about the square root of 1,000 rows
    """

    value: V
    why: str

    def __str__(self) -> str:
        return f"{self.value}: {self.why}"


@dataclass(frozen=True)
class Defaults:
    """What is chosen where nothing is set, for a table of its size.

    >>> few, many = Defaults.of(150, 10), Defaults.of(1_000_000, 10)
    >>> few.latent, few.hidden, few.batch_size, few.max_epochs, few.members
    (6, (64,), 32, 400, 3)
    >>> many.latent, many.hidden, many.batch_size, many.max_epochs, many.members
    (6, (512, 512), 1024, 31, 1)
    >>> print(few.words[3])
    batch_size = 32: about the square root of 150 rows, a power of two from 32 to 1024
    """

    latent: int
    """Latent coordinates."""
    hidden: tuple[int, ...]
    """Widths of the hidden layers."""
    learning_rate: float
    """Adam's rate."""
    batch_size: int
    """Rows to an update."""
    max_epochs: int
    """Passes over the rows, at most."""
    patience: int
    """Epochs without a better held-out ELBO before training stops."""
    validation: float
    """Share of the rows that is held out to stop by."""
    members: int
    """Models of as many seeds, where what is asked for can be pooled."""
    falls: bool
    """Whether the rate falls along half a cosine over the run; no epoch is the last before the end then."""
    words: tuple[str, ...]
    """Every choice and its reason, a line each."""

    @staticmethod
    def of(rows: int, columns: int, kinds: Sequence[str] = ()) -> Defaults:
        """The defaults for a table of so many rows and columns, of these kinds where they are known.

        Raises `UsageError` for a table without rows or columns.
        """
        _refuse_nothing(rows, columns)
        batch = _batch(rows)
        epochs = _epochs(rows, batch.value)
        return _as_told(
            {
                "latent": _latent(rows, columns, kinds),
                "hidden": _hidden(rows),
                "learning_rate": _learning_rate(rows),
                "batch_size": batch,
                "max_epochs": epochs,
                "patience": _patience(epochs.value),
                "validation": _validation(rows),
                "members": _members(rows),
                "falls": Chosen(False, "early stopping ends the run"),
            }
        )

    @staticmethod
    def of_completion(rows: int, columns: int, kinds: Sequence[str] = ()) -> Defaults:
        """The defaults where holes are to be filled: an importance-weighted bound learns long, at a rate that falls.

        They were chosen on a few tables of about a thousand rows, some of them those of the benchmark.

        >>> chosen = Defaults.of_completion(1000, 8)
        >>> chosen.latent, chosen.hidden, chosen.max_epochs, chosen.members
        (10, (128, 128), 107, 3)
        """
        _refuse_nothing(rows, columns)
        batch = Chosen(64, "small, for many updates of few rows") if rows < MANY else _batch(rows)
        epochs = _completion_epochs(rows, batch.value) if rows < MANY else _epochs(rows, batch.value)
        return _as_told(
            {
                "latent": Chosen(min(max(10, columns // 3), LATENTS), f"a third of the columns, from 10 to {LATENTS}"),
                "hidden": Chosen((128, 128) if rows < MANY else (256, 256), "two layers"),
                "learning_rate": Chosen(3e-3, "it falls along half a cosine"),
                "batch_size": batch,
                "max_epochs": epochs,
                "patience": Chosen(epochs.value, "the rate has to fall to its end"),
                "validation": _validation(rows),
                "members": Chosen(3 if rows < MANY else 1, "completions of several models are better together"),
                "falls": Chosen(True, "the last updates only polish"),
            }
        )

    @staticmethod
    def of_detection(rows: int, columns: int, kinds: Sequence[str] = (), novelty: bool = False) -> Defaults:
        """The defaults where odd rows are to be told from normal ones; with `novelty`, all these rows are normal.

        Normal rows are learnt closely: all of them, longer, and at a rate at which the scales of columns get to where
        they belong (a step of Adam is no longer than its rate). Where odd rows may be among them, or there are so few
        that a part has to tell when they are learnt by heart, they are not.

        >>> chosen = Defaults.of_detection(1000, 8)
        >>> chosen.latent, chosen.hidden, chosen.batch_size, chosen.max_epochs, chosen.members
        (4, (128, 128), 128, 285, 2)
        >>> normal = Defaults.of_detection(1000, 8, novelty=True)
        >>> normal.learning_rate, normal.max_epochs, normal.validation
        (0.003, 320, 0.0)
        """
        _refuse_nothing(rows, columns)
        closely = novelty and rows >= CLOSELY
        batch = Chosen(128, "as usual") if rows < MANY * 10 else _batch(rows)
        rate = Chosen(3e-3 if closely else 1e-3, "it falls along half a cosine")
        validation = Chosen(0.0, "normal rows are all learned from") if closely else _validation(rows)
        updates = max(800, min(DETECTING, (4 if closely else 2) * rows), ceil(rows / batch.value))
        learnt = rows * (1.0 if closely else 0.9)
        epochs = Chosen(ceil(updates / max(1.0, learnt / batch.value)), f"about {updates:,} updates")
        return _as_told(
            {
                "latent": Chosen(min(max(1, columns // 2), LATENTS), f"half as many as columns, at most {LATENTS}"),
                "hidden": Chosen((128, 128), "two layers"),
                "learning_rate": rate,
                "batch_size": batch,
                "max_epochs": epochs,
                "patience": Chosen(epochs.value, "the rate has to fall to its end"),
                "validation": validation,
                "members": Chosen(2 if rows < MANY * 10 else 1, "scores of two models are steadier than those of one"),
                "falls": Chosen(True, "the last updates only polish"),
            }
        )

    @staticmethod
    def of_labels(rows: int, columns: int, kinds: Sequence[str] = ()) -> Defaults:
        """The defaults where classes are to be told from few labels.

        Of few rows none is held out: it may be one of the few with a label, and the ELBO, which would tell when to
        stop, hardly knows of labels.

        >>> chosen = Defaults.of_labels(600, 20)
        >>> chosen.validation, chosen.learning_rate, chosen.max_epochs, chosen.members
        (0.0, 0.003, 43, 3)
        """
        usual = Defaults.of(rows, columns, kinds)
        if rows >= FEW:
            return usual
        epochs = Chosen(ceil(TELLING / ceil(rows / usual.batch_size)), f"about {TELLING:,} updates")
        return usual._but(
            {
                "learning_rate": Chosen(3e-3, "it falls along half a cosine"),
                "max_epochs": epochs,
                "patience": Chosen(epochs.value, "the rate has to fall to its end"),
                "validation": Chosen(0.0, f"of {rows} rows each may have one of few labels"),
                "falls": Chosen(True, "the last updates only polish"),
            }
        )

    @staticmethod
    def of_synthesis(rows: int, columns: int, kinds: Sequence[str] = ()) -> Defaults:
        """The defaults where rows are to be made up.

        >>> chosen = Defaults.of_synthesis(30_000, 15)
        >>> chosen.latent, chosen.hidden, chosen.batch_size, chosen.max_epochs
        (16, (256, 256), 512, 43)
        """
        _refuse_nothing(rows, columns)
        batch = Chosen(512 if rows >= MANY else 64, "many updates of few rows, fewer of many")
        updates = max(2500 if rows >= MANY else min(6000, max(1500, rows)), ceil(rows / batch.value))
        return _as_told(
            {
                "latent": Chosen(min(columns + 1, LATENTS), f"one more than columns, at most {LATENTS}"),
                "hidden": Chosen((256, 256) if rows >= FEW else (128, 128), "two layers"),
                "learning_rate": Chosen(2e-3, "it falls along half a cosine"),
                "batch_size": batch,
                "max_epochs": Chosen(ceil(updates / ceil(rows / batch.value)), f"about {updates:,} updates"),
                "patience": Chosen(10, "nothing is held out"),
                "validation": Chosen(0.0, "all rows are learned from: the prior is fitted afterwards"),
                "members": Chosen(1, "one model"),
                "falls": Chosen(True, "the last updates only polish"),
            }
        )

    def _but(self, choices: Mapping[str, Chosen[Any]]) -> Defaults:
        """These defaults with other choices."""
        kept = {line.split(" = ")[0]: line for line in self.words}
        told = kept | {name: f"{name} = {chosen}" for name, chosen in choices.items()}
        return replace(self, **{name: chosen.value for name, chosen in choices.items()}, words=tuple(told.values()))


def _as_told(choices: Mapping[str, Chosen[Any]]) -> Defaults:
    values = {name: chosen.value for name, chosen in choices.items()}
    return Defaults(**values, words=tuple(f"{name} = {chosen}" for name, chosen in choices.items()))


def _refuse_nothing(rows: int, columns: int) -> None:
    if min(rows, columns) < 1:
        raise UsageError(f"a table of {rows} rows and {columns} columns: it takes at least one of each")


def _completion_epochs(rows: int, batch_size: int) -> Chosen[int]:
    updates = min(2500, max(1500, rows))
    return Chosen(max(1, ceil(updates / (rows / batch_size) / 0.9)), f"about {updates:,} updates")


def _latent(rows: int, columns: int, kinds: Sequence[str]) -> Chosen[int]:
    told = sum(TELLS.get(kind, 1.0) for kind in kinds) if kinds else columns
    most = max(2, rows // 10)
    latent = max(1, min(round(told**0.75), most, LATENTS))
    return Chosen(latent, f"{told:g} numbers' worth of columns to the power of 3/4, at most {min(most, LATENTS)}")


def _hidden(rows: int) -> Chosen[tuple[int, ...]]:
    width = _power_of_two(6 * sqrt(rows), WIDTHS)
    layers = 1 if rows < FEW else 2
    counted = "one layer" if layers == 1 else "two layers"
    return Chosen((width,) * layers, f"{counted} of about six times the square root of {rows:,} rows")


def _learning_rate(rows: int) -> Chosen[float]:
    """A scale that is learned moves by the rate in an update, at most, and few rows make few updates to an epoch."""
    if rows < FEW:
        return Chosen(5e-3, f"with {rows:,} rows an epoch is few updates, which have to come far")
    return Chosen(1e-3, "Adam's usual rate, which suits nets of these widths")


def _batch(rows: int) -> Chosen[int]:
    low, high = BATCHES
    within = f"a power of two from {2**low} to {2**high}"
    return Chosen(_power_of_two(sqrt(rows), BATCHES), f"about the square root of {rows:,} rows, {within}")


def _epochs(rows: int, batch_size: int) -> Chosen[int]:
    updates = min(PER_ROW * rows, max(UPDATES[0], round(UPDATES[1] * (rows / 1000) ** (1 / 3))))
    low, high = EPOCHS
    epochs = min(max(ceil(updates / ceil(rows / batch_size)), low), high)
    return Chosen(epochs, f"about {updates:,} updates, and from {low} to {high} passes over the rows")


def _patience(epochs: int) -> Chosen[int]:
    return Chosen(max(5, epochs // 10), "a tenth of the epochs, at least 5")


def _validation(rows: int) -> Chosen[float]:
    if rows < 20:
        return Chosen(0.0, f"of {rows} rows none can be spared")
    share = min(0.15, HELD_OUT / rows)
    return Chosen(share, f"about {round(share * rows):,} rows tell when to stop")


def _members(rows: int) -> Chosen[int]:
    if rows < FEW:
        return Chosen(3, f"with fewer than {FEW:,} rows seeds differ, and models of several are better together")
    return Chosen(1, f"with {rows:,} rows one model says what several would")


def _power_of_two(size: float, powers: tuple[int, int]) -> int:
    """The nearest power of two within these powers."""
    low, high = powers
    return int(2 ** min(max(round(log2(size)), low), high))
