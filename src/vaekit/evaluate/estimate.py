"""A number with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A number found from draws, and its standard error: NaN where a single draw tells of none.

    >>> print(Estimate(1.25, 0.03))
    1.25 +- 0.03
    """

    value: float
    stderr: float

    @staticmethod
    def mean_of(draws: Tensor) -> Estimate:
        """The mean of independent draws `(n,)`.

        >>> import torch
        >>> print(Estimate.mean_of(torch.tensor([1.0, 3.0])))
        2 +- 1
        """
        n = len(draws)
        stderr = float(draws.double().std()) / math.sqrt(n) if n > 1 else math.nan
        return Estimate(float(draws.double().mean()), stderr)

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.stderr:.2g}"
