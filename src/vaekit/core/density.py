"""What a log-probability is a density of: the law that keeps unlike numbers from being compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Density:
    """What the numbers a likelihood reports are a density of.

    >>> print(Density("binary values", "probability mass"))
    probability mass of binary values, in nats per example
    """

    of: str
    kind: str
    is_likelihood: bool = True

    def __str__(self) -> str:
        words = f"{self.kind} of {self.of}, in nats per example"
        return words if self.is_likelihood else f"{words}; not a likelihood"
