"""Parts: ranges of rows, each of which becomes a file of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """The rows from `start` up to `stop`, by their numbers in the source.

    >>> Part(3, 300, 400).name
    'part-00003'
    """

    number: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Its file's name, without the ending."""
        return f"part-{self.number:05d}"

    def __len__(self) -> int:
        return self.stop - self.start


def parts_of(rows: int, each: int) -> list[Part]:
    """So many rows in parts of `each`; the last may have fewer.

    >>> [len(part) for part in parts_of(5, 2)]
    [2, 2, 1]
    """
    starts = range(0, rows, each)
    return [Part(number, start, min(start + each, rows)) for number, start in enumerate(starts)]
