"""Codes beside the factors they were made from: what every measure on tables begins with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vaekit.common.errors import DataError


@dataclass(frozen=True)
class Representation:
    """Codes `(n, d)` in float64 and the factors they come from, `(n, f)`, each counted from 0 without a gap."""

    codes: Tensor
    factors: Tensor
    levels: tuple[int, ...]
    """How many values each factor has."""

    @staticmethod
    def of(codes: ArrayLike | Tensor, factors: ArrayLike | Tensor) -> Representation:
        """Codes and factors from arrays or tensors.

        Raises `DataError` where they are no tables of as many rows, where codes are not finite or factors no whole
        numbers, and for a factor that has one value alone.

        >>> Representation.of([[0.1], [0.2], [0.3]], [[5], [5], [9]]).factors.flatten()
        tensor([0, 0, 1])
        """
        codes, factors = (_table(values, what) for values, what in ((codes, "codes"), (factors, "factors")))
        if len(codes) != len(factors):
            raise DataError(f"codes of shape {tuple(codes.shape)}, factors of {tuple(factors.shape)}: give equal rows")
        if not codes.isfinite().all() or not (factors == factors.round()).all():
            raise DataError("codes must be finite and factors whole numbers: mend the rows that are not")
        columns = [column.unique(return_inverse=True) for column in factors.unbind(1)]
        for index, (values, _) in enumerate(columns):
            if len(values) < 2:
                raise DataError(f"factor {index} has one value alone: leave it out, there is nothing to find of it")
        levels = tuple(len(values) for values, _ in columns)
        return Representation(codes, torch.stack([inverse for _, inverse in columns], 1), levels)

    def halves(self) -> tuple[Representation, Representation]:
        """The rows parted at random into two halves, from torch's current generator."""
        order = torch.randperm(len(self.codes)).split(-(-len(self.codes) // 2))
        first, second = (Representation(self.codes[rows], self.factors[rows], self.levels) for rows in order)
        return first, second


def _table(values: ArrayLike | Tensor, what: str) -> Tensor:
    table = values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))
    if table.dim() != 2 or not table.numel():
        raise DataError(f"{what} have shape {tuple(table.shape)}: give a table, one row an example")
    return table.double()


def gap(scores: Tensor) -> Tensor:
    """The largest score of each column of `(d, f)` less the second largest, `(f,)`; a sole row's second is 0.

    >>> gap(torch.tensor([[0.9, 0.1], [0.5, 0.4]]))
    tensor([0.4000, 0.3000])
    """
    padded = torch.cat([scores, torch.zeros_like(scores[:1])]) if len(scores) == 1 else scores
    largest = padded.topk(2, dim=0).values
    return largest[0] - largest[1]
