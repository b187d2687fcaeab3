"""Imputation: how near completions come to what was hidden."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.evaluate.estimate import Estimate


@dataclass(frozen=True)
class Recovery:
    """How near completions come to the truth; over columns `(C,)`, float64, NaN where nothing was hidden or it does
    not apply."""

    squared_error: Tensor
    """The mean squared error of each column of numbers in units of its standard deviation: the column mean has 1."""
    accuracy: Tensor
    """The share of levels that were found, of each column of levels."""
    hidden: Tensor
    """How many cells of each column were hidden."""

    @property
    def mse(self) -> float:
        """The mean squared error over all hidden cells of numbers; NaN where there are none."""
        return _over_cells(self.squared_error, self.hidden)

    @property
    def rmse(self) -> float:
        """Its root."""
        return float(self.mse**0.5)

    @property
    def error_rate(self) -> float:
        """The share of levels that were not found, over all hidden cells of levels; NaN where there are none."""
        return 1 - _over_cells(self.accuracy, self.hidden)


def _over_cells(by_column: Tensor, hidden: Tensor) -> float:
    told = ~by_column.isnan()
    return float((by_column * hidden)[told].sum() / hidden[told].sum())


def recovery(
    completed: Tensor, truth: Tensor, hidden: Tensor, levels: Tensor, spread: Tensor | None = None
) -> Recovery:
    r"""How near completions come to what was hidden.

    .. math:: \mathrm{MSE}_c = \frac{1}{n_c} \sum_{i:\, (i, c) \text{ hidden}}
        \left(\frac{\hat x_{ic} - x_{ic}}{s_c}\right)^2

    Args:
        completed, truth: `(n, C)`.
        hidden: which cells were hidden from the model, `(n, C)`; where the truth itself is missing, a cell is left out.
        levels: which columns hold levels, and no numbers, `(C,)`.
        spread: s, the standard deviation of each column `(C,)`; that of the truth if not given.

    Raises `UsageError` where shapes differ.

    Source: Mattei and Frellsen, 2019; Nazábal et al., 2020.

    >>> truth = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    >>> found = recovery(torch.ones(2, 2), truth, torch.ones(2, 2).bool(), levels=torch.tensor([False, True]))
    >>> found.mse, found.error_rate  # the column mean, and one level of two
    (1.0, 0.5)
    """
    if not completed.shape == truth.shape == hidden.shape:
        shapes = f"{tuple(completed.shape)}, {tuple(truth.shape)} and {tuple(hidden.shape)}"
        raise UsageError(f"completions, truth and what was hidden have the shapes {shapes}: give them the same")
    hidden = hidden & ~truth.isnan()
    truth, completed = truth.double(), completed.double()
    spread = _spread(truth) if spread is None else spread.double()
    squares = ((completed - truth) / spread).square()
    hits = (completed.round() == truth).double()
    return Recovery(
        _mean_where(squares, hidden & ~levels), _mean_where(hits, hidden & levels), hidden.sum(0).to(torch.float64)
    )


def _spread(truth: Tensor) -> Tensor:
    """The deviation of what is known of each column; 1 where that does not vary."""
    mean = truth.nanmean(0)
    deviation = (truth - mean).square().nanmean(0).sqrt()
    return torch.where(deviation > 0, deviation, torch.ones_like(deviation))


def _mean_where(values: Tensor, where: Tensor) -> Tensor:
    """The mean of a column's values where it is said; NaN where it is said of none."""
    total = torch.where(where, values, torch.zeros_like(values)).sum(0)
    return total / where.sum(0)


def coverage(low: Tensor, high: Tensor, truth: Tensor, hidden: Tensor) -> Estimate:
    """The share of hidden cells that lie in their intervals, as if cells were independent; all tensors `(n, ...)`.

    >>> truth = torch.tensor([[0.0, 5.0]])
    >>> print(coverage(truth - 1, torch.tensor([[1.0, 4.0]]), truth, torch.ones(1, 2).bool()))
    0.5 +- 0.5
    """
    return Estimate.mean_of(((low <= truth) & (truth <= high))[hidden].double())
