"""References: what a score means, beside the scores of rows that are known to be in order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import DataError, UsageError


@dataclass(frozen=True)
class Reference:
    r"""The scores of held-out rows, by which those of new rows are judged.

    The p-value of a new row is the share of the rows, itself among them, that are at least as odd:

    .. math:: p(s) = \frac{1 + \#\{i : s_i \ge s\}}{n + 1}

    If the new row is one of the kind (all n + 1 are exchangeable), :math:`P(p \le a) \le a` for every a, whatever the
    model and however bad. The held-out rows must not have been trained on: the model's own rows look less odd to it.

    Args:
        scores: of the held-out rows, `(n,)`, higher is odder.

    Sources: Vovk, Gammerman and Shafer, 2005; Bates et al., 2023 (outliers).

    Raises `DataError` for no scores, or one that is NaN.

    >>> reference = Reference(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    >>> reference.p_values(torch.tensor([0.0, 2.5, 9.0])).tolist()
    [1.0, 0.6, 0.2]
    """

    scores: Tensor

    def __post_init__(self) -> None:
        if not len(self.scores):
            raise DataError("no scores to refer to: hold out some rows")
        if self.scores.isnan().any():
            raise DataError(f"row {int(self.scores.isnan().nonzero()[0])} of the reference has a score of NaN")
        object.__setattr__(self, "scores", self.scores.detach().cpu().double().sort().values)

    def __len__(self) -> int:
        return len(self.scores)

    def p_values(self, scores: Tensor) -> Tensor:
        """The p-value of each new row, `(n,)`, float64; of a score that is NaN, NaN."""
        new = scores.detach().cpu().double()
        as_odd = len(self) - torch.searchsorted(self.scores, new.contiguous(), right=False)
        return torch.where(new.isnan(), math.nan, (1 + as_odd).double() / (len(self) + 1))

    def threshold(self, contamination: float = 0.1) -> float:
        """The score above which a row has a p-value of at most `contamination`.

        That share of the rows that are in order is flagged at most, on average; inf where there are too few known rows
        to tell: fewer than 1 / contamination - 1. Raises `UsageError` for a share outside (0, 1).

        >>> reference = Reference(torch.arange(9.0))
        >>> reference.threshold(0.1), reference.threshold(0.2), reference.threshold(0.05)
        (8.0, 7.0, inf)
        """
        if not 0 < contamination < 1:
            raise UsageError(f"a contamination of {contamination}: choose one between 0 and 1")
        may_be_as_odd = math.floor(contamination * (len(self) + 1) + 1e-9) - 1
        return float(self.scores[-1 - may_be_as_odd]) if may_be_as_odd >= 0 else math.inf
