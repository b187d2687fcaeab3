"""Disentanglement by intervention: factors held fixed while the others vary, on data that can be made so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vaekit.common.errors import DataError, UsageError
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.linear import softmax_regression, standardised_by

Encode = Callable[[Tensor], Tensor]
"""From rows `(n, *event)`, as the data has them, to codes `(n, d)`."""

ROWS_AT_ONCE = 1024
NO_VARIANCE = 1e-12
"""The variance of a code, in units of the largest, up to which it counts as constant."""


class FactorData(Protocol):
    """Data whose factors can be held fixed, such as `vaekit.data.Sprites`."""

    @property
    def names(self) -> tuple[str, ...]:
        """The factors."""
        ...

    def agreeing(self, factor: int, groups: int, size: int) -> Tensor:
        """Groups of examples alike in one factor, which and all else drawn at random: `(groups, size, *event)`."""
        ...


class FactorTable:
    """Rows with known factors as `FactorData`: examples alike in a factor are drawn from the rows that are.

    Args:
        x: rows `(n, *event)`.
        factors: `(n, f)`, whole numbers.
        names: of the factors; their numbers unless given.

    >>> table = FactorTable(torch.arange(6.0).unsqueeze(1), [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]])
    >>> groups = table.agreeing(factor=1, groups=4, size=2)[..., 0]
    >>> bool((groups % 3 == groups[:, :1] % 3).all())
    True
    """

    def __init__(self, x: Tensor, factors: ArrayLike | Tensor, names: tuple[str, ...] | None = None) -> None:
        table = factors.cpu() if isinstance(factors, Tensor) else torch.from_numpy(np.asarray(factors))
        if table.dim() != 2 or len(table) != len(x):
            raise DataError(f"rows of shape {tuple(x.shape)}, factors of {tuple(table.shape)}: give (n, f) to n rows")
        self.x, self.factors = x, table
        self.names = names or tuple(map(str, range(table.shape[1])))

    def agreeing(self, factor: int, groups: int, size: int) -> Tensor:
        """Groups of rows alike in one factor; each value is as likely as it is among the rows."""
        column = self.factors[:, factor]
        values = column[torch.randint(len(column), (groups,))]
        return torch.stack([self._some(column == value, size) for value in values])

    def _some(self, alike: Tensor, size: int) -> Tensor:
        rows = alike.nonzero().flatten()
        return self.x[rows[torch.randint(len(rows), (size,))].to(self.x.device)]


@dataclass(frozen=True)
class Intervened:
    """How often the factor that was held fixed is told from the codes of those that share it: 1 is best."""

    accuracy: Estimate
    chance: float
    """The accuracy of guessing."""

    @property
    def value(self) -> float:
        """The accuracy."""
        return self.accuracy.value


def beta_vae_score(data: FactorData, encode: Encode, votes: int = 800, pairs: int = 32) -> Intervened:
    """Tell the factor that pairs agree in from the mean difference of their codes, by a linear classifier.

    Every vote is the mean absolute difference over pairs of examples, the two of a pair alike in the vote's factor.
    Half of the votes train the classifier, the other half is scored.

    Args:
        data: the data.
        encode: to codes, as a rule posterior means.
        votes: in all.
        pairs: for each vote.

    Source: Higgins et al., 2017.

    >>> table = FactorTable(torch.cartesian_prod(torch.arange(9.0), torch.arange(9.0)), [[0, 0]] * 81)
    >>> beta_vae_score(table, encode=lambda x: x, votes=10).chance
    0.5
    """

    def differences(factor: int, votes: int) -> Tensor:
        codes = _codes(data, encode, factor, votes * pairs, 2)
        return (codes[:, 0] - codes[:, 1]).abs().reshape(votes, pairs, -1).mean(1)

    learn, judge = _votes(len(data.names), votes, differences)
    x, y = (standardised_by(learn.values, half.values) for half in (learn, judge))
    guess = (y @ softmax_regression(x, learn.factor, len(data.names))).argmax(1)
    return _scored(guess, judge, len(data.names))


def factor_vae_score(
    data: FactorData, encode: Encode, votes: int = 800, group: int = 64, rows: int = 4096
) -> Intervened:
    """Tell the factor that a group agrees in from the code that varies least in it, by majority vote.

    Codes are divided by their deviation over `rows` random examples first; one that does not vary has no vote. Half of
    the votes train the classifier, a table from codes to factors, the other half is scored.

    Args:
        data: the data.
        encode: to codes, as a rule posterior means.
        votes: in all.
        group: examples for each vote.
        rows: to find the deviations from.

    Source: Kim and Mnih, 2018.

    >>> table = FactorTable(torch.cartesian_prod(torch.arange(9.0), torch.arange(9.0)), [[0, 0]] * 81)
    >>> factor_vae_score(table, encode=lambda x: x, votes=10).chance
    0.5
    """
    variance = _codes(data, encode, 0, rows, 1)[:, 0].var(0)
    varies = variance > NO_VARIANCE * variance.max()

    def least_varying(factor: int, votes: int) -> Tensor:
        within = _codes(data, encode, factor, votes, group).var(1)
        return torch.where(varies, within / variance, math.inf).argmin(1)

    learn, judge = _votes(len(data.names), votes, least_varying)
    table = torch.zeros(len(variance), len(data.names)).index_put_(
        (learn.values, learn.factor), torch.ones(len(learn.factor)), accumulate=True
    )
    return _scored(table.argmax(1)[judge.values], judge, len(data.names))


def _codes(data: FactorData, encode: Encode, factor: int, groups: int, size: int) -> Tensor:
    """The codes of groups alike in one factor, `(groups, size, d)` in float64."""
    at_once = max(1, ROWS_AT_ONCE // size)
    parts = (data.agreeing(factor, min(at_once, groups - start), size) for start in range(0, groups, at_once))
    with torch.no_grad():
        return torch.cat([encode(x.flatten(0, 1)).double().cpu().unflatten(0, x.shape[:2]) for x in parts])


@dataclass(frozen=True)
class Votes:
    """What was seen in each vote, `(votes, ...)`, and the number of the factor that was fixed, `(votes,)`."""

    values: Tensor
    factor: Tensor


def _votes(factors: int, votes: int, see: Callable[[int, int], Tensor]) -> tuple[Votes, Votes]:
    """Votes to learn from and as many to be judged on, each with a factor drawn at random."""
    if votes < 2:
        raise UsageError(f"{votes} votes: some must be learned from and some judged, give at least 2")
    factor = torch.randint(factors, (votes,)).sort().values
    values = torch.cat([see(index, int(n)) for index, n in enumerate(factor.bincount()) if n])
    learn, judge = (Votes(values[some], factor[some]) for some in torch.randperm(votes).split(-(-votes // 2)))
    return learn, judge


def _scored(guess: Tensor, judge: Votes, factors: int) -> Intervened:
    return Intervened(Estimate.mean_of((guess == judge.factor).double()), 1 / factors)
