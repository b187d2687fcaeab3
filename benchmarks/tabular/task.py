"""A task: sets of data, methods that are measured on each, and how their records are told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, ClassVar, Generic, TypeVar

Method = TypeVar("Method")
Figures = dict[str, Any]
"""What was measured of one method on one set."""


class Absent(Exception):
    """A method that is not installed here."""


class Task(ABC, Generic[Method]):
    """Something that is done with tables, by several methods, on several sets."""

    name: ClassVar[str]
    sets: Sequence[str]
    methods: Mapping[str, Method]

    @abstractmethod
    def measure(self, on: str, method: Method) -> Figures:
        """What one method does on one set; `Absent` where it is not installed."""

    @abstractmethod
    def told(self, records: Sequence[Mapping[str, Any]]) -> str:
        """The records as sections of RESULTS.md."""


def methods_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The methods that any record has, in the order of their first appearance."""
    return list(dict.fromkeys(name for record in records for name in record["methods"]))


def about(values: Sequence[float], digits: int = 3) -> str:
    """The mean over seeds, and how far one seed lies from it.

    >>> about([0.25, 0.35])
    '.300 ± .071'
    """
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}".replace(" 0.", " .").removeprefix("0")


def cell(figures: Mapping[str, Any] | None, name: str, digits: int = 3) -> str:
    """One figure of a method; a failure is told as such."""
    if figures is None:
        return ""
    return "**failed**" if "failed" in figures else about(figures[name], digits)


def failures(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What went wrong, a line each."""
    return [
        f"{method} on {record['set']} failed: {figures['failed']}"
        for record in records
        for method, figures in record["methods"].items()
        if "failed" in figures
    ]
