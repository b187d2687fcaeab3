"""What a log-probability is a density of: the law that keeps unlike numbers from being compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from vaekit.common.errors import UsageError

Nats = TypeVar("Nats", float, Tensor)


@dataclass(frozen=True)
class Density:
    """What the numbers a likelihood reports are a density of.

    >>> print(Density("binary values", "probability mass"))
    probability mass of binary values, in nats per example
    """

    of: str
    kind: str
    is_likelihood: bool = True
    level_bits: float | None = None
    """Bits to add to each dimension's to make them bits of 8-bit values: 0 where the numbers are masses of these, 8
    where they are a density of greys in [0, 1], each level of which is 1/256 wide; None where they are no 8-bit values.
    """

    def __str__(self) -> str:
        words = f"{self.kind} of {self.of}, in nats per example"
        return words if self.is_likelihood else f"{words}; not a likelihood"


def bits_per_dimension(log_density: Nats, event_shape: Sequence[int], density: Density) -> Nats:
    r"""Bits to store one 8-bit value, :math:`-\log_2 p(x) / D` for D values, with the change of variables.

    Args:
        log_density: a log-likelihood, a log-evidence or an ELBO (its bits are an upper bound), in nats per example.
        event_shape: the shape of one example, of D values in all.
        density: what it is a density of. A density of greys in [0, 1] gains 8 bits, a mass none.

    Raises `UsageError` where the values are no 8-bit ones: their bits could not be compared with anybody's.

    >>> eight_bit = Density("8-bit values", "probability mass", level_bits=0.0)
    >>> round(bits_per_dimension(-math.log(256) * 784, (1, 28, 28), eight_bit), 6)
    8.0
    >>> bits_per_dimension(-80.0, (1, 28, 28), Density("binary values", "probability mass"))
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: a probability mass of binary values has no bits per dimension: they are of ...
    """
    if density.level_bits is None:
        raise UsageError(
            f"a {density.kind} of {density.of} has no bits per dimension: they are of 8-bit values, "
            "so choose a likelihood of those"
        )
    return -log_density / (math.prod(event_shape) * math.log(2)) + density.level_bits
