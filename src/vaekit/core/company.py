"""Company: what parts that learn from a batch outside the gradient ask of the ranks among which it is shared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, runtime_checkable

from torch import Tensor, nn


class Company(Protocol):
    """The ranks that share a batch. Each of them has to ask for the same things in the same order."""

    def gathered(self, rows: Tensor) -> Tensor:
        """The rows `(n, *event)` of every rank, the first rank's first; no gradient goes through."""

    def agreed(self, value: Tensor) -> Tensor:
        """The first rank's value, of the same shape on all; no gradient goes through."""


class Single:
    """No company: the batch is whole.

    >>> import torch
    >>> float(SINGLE.gathered(torch.ones(3)).sum())
    3.0
    """

    def gathered(self, rows: Tensor) -> Tensor:
        """The rows as they are."""
        return rows

    def agreed(self, value: Tensor) -> Tensor:
        """The value as it is."""
        return value


SINGLE: Final = Single()


@runtime_checkable
class Sociable(Protocol):
    """A part with state that it learns from whole batches outside the gradient, and so together with its company.

    It has `company: Company = SINGLE` as a class attribute, which is set while it is trained on several ranks.
    """

    company: Company


@contextmanager
def in_company(module: nn.Module, company: Company) -> Iterator[None]:
    """Let every part of a module that asks for company have this one inside the block."""
    parts = [part for part in module.modules() if isinstance(part, Sociable)]
    for part in parts:
        part.company = company
    try:
        yield
    finally:
        for part in parts:
            del part.company
