"""A data set that is larger than memory, as a run takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import Size

from vaekit.common.errors import DataError
from vaekit.data.dataset import Dataset
from vaekit.data.streams.parts import Part, parted
from vaekit.data.streams.store import MEMORY, Store, row_bytes

EVALUATED: Final = 10_000
"""Rows, at most, on which a model fitted to a stream is checked, evaluated and reported."""


@dataclass(frozen=True, eq=False)
class Streamed:
    """What to train and to test on, read piece by piece within `memory` MiB; the counterpart of `Splits`.

    A `DataError` says where training and test rows differ in form.
    """

    train: Store
    test: Store | None = None
    name: str = ""
    source: str = ""
    licence: str = ""
    memory: int = MEMORY

    def __post_init__(self) -> None:
        if self.test is not None and _form(self.test) != _form(self.train):
            raise DataError(f"training rows are {_form(self.train)}, test rows {_form(self.test)}: give both one form")

    @property
    def event_shape(self) -> Size:
        """The shape of a row."""
        return self.train.event_shape

    def some(self, part: Part) -> Dataset:
        """Rows that stand for all of a part: at most 10,000, and no more than an eighth of the memory."""
        return part.some(max(1, min(EVALUATED, self.memory * 2**17 // row_bytes(part.store))))

    def evaluated(self, validation: float, seed: int) -> tuple[str, Dataset]:
        """Some rows to evaluate on and what they are: of the test rows, else the held-out, else the training rows."""
        if self.test is not None:
            return "test", self.some(Part(self.test))
        learn, held = parted(self.train, validation, seed)
        return ("training", self.some(learn)) if held is None else ("held_out", self.some(held))


def _form(store: Store) -> str:
    return f"{store.dtype} of shape {tuple(store.event_shape)}"
