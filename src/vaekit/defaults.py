"""Defaults: a sensible size and training for a table of so many rows and columns, each choice with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    words: tuple[str, ...]
    """Every choice and its reason, a line each."""

    @staticmethod
    def of(rows: int, columns: int, kinds: Sequence[str] = ()) -> Defaults:
        """The defaults for a table of so many rows and columns, of these kinds where they are known.

        Raises `UsageError` for a table without rows or columns.
        """
        if min(rows, columns) < 1:
            raise UsageError(f"a table of {rows} rows and {columns} columns: it takes at least one of each")
        batch = _batch(rows)
        epochs = _epochs(rows, batch.value)
        choices: dict[str, Chosen[Any]] = {
            "latent": _latent(rows, columns, kinds),
            "hidden": _hidden(rows),
            "learning_rate": Chosen(1e-3, "Adam's usual rate, which suits nets of these widths"),
            "batch_size": batch,
            "max_epochs": epochs,
            "patience": _patience(epochs.value),
            "validation": _validation(rows),
            "members": _members(rows),
        }
        values = {name: chosen.value for name, chosen in choices.items()}
        return Defaults(**values, words=tuple(f"{name} = {chosen}" for name, chosen in choices.items()))


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
