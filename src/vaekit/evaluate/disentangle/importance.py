"""Disentanglement, completeness and informativeness, by how much a predictor relies on each code."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import one_hot

from vaekit.common.errors import UsageError
from vaekit.evaluate.disentangle.representation import Representation
from vaekit.evaluate.linear import standardised_by

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1)
STEPS = 1000


@dataclass(frozen=True)
class Importances:
    """How much a predictor of each factor relies on each code, `(code, factor)`, and how well it predicts, `(factor,)`.

    Importances are 0 or more, in any unit of their own column; `informativeness` is held-out R^2 for a number and
    accuracy scaled so that guessing has 0 for a class: 1 is best.
    """

    importance: Tensor
    informativeness: Tensor


Predictor = Callable[[Representation, Representation, Collection[int]], Importances]
"""From rows to learn from, rows to be judged on, and the numbers of the factors that are categorical."""


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness, informativeness: each 1 at its best, and 0 where importances are all alike."""

    of_codes: Tensor
    """Disentanglement of each code, `(code,)`: 1 where it serves one factor alone."""
    weight_of_codes: Tensor
    """The share of each code in all that is relied on, `(code,)`."""
    of_factors: Tensor
    """Completeness of each factor, `(factor,)`: 1 where one code alone serves it."""
    informativeness_of_factors: Tensor
    """How well all codes together predict each factor, `(factor,)`."""
    importance: Tensor
    """Relative importances, `(code, factor)`; each column sums to 1."""

    @property
    def disentanglement(self) -> float:
        """The mean over codes, weighted by what relies on them."""
        return float(self.of_codes @ self.weight_of_codes)

    @property
    def completeness(self) -> float:
        """The mean over factors."""
        return float(self.of_factors.mean())

    @property
    def informativeness(self) -> float:
        """The mean over factors."""
        return float(self.informativeness_of_factors.mean())


def dci(
    codes: ArrayLike | Tensor,
    factors: ArrayLike | Tensor,
    categorical: Collection[int] = (),
    by: Predictor | None = None,
) -> DCI:
    r"""Disentanglement, completeness and informativeness.

    With P the relative importance of codes for factors, a code's disentanglement is :math:`1 - H(P_{i \cdot}) / \log F`
    over factors, a factor's completeness :math:`1 - H(P_{\cdot j}) / \log D` over codes.

    Args:
        codes: `(n, d)`, at least 2 codes.
        factors: `(n, f)`, whole numbers, at least 2 factors.
        categorical: the numbers of the factors whose values have no order.
        by: the predictor, `lasso` unless given; `forest` sees relations that are not linear.

    Source: Eastwood and Williams, 2018.

    >>> factors = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    >>> found = dci(factors.double(), factors)
    >>> round(found.disentanglement, 2), round(found.completeness, 2), round(found.informativeness, 2)
    (1.0, 1.0, 1.0)
    """
    data = Representation.of(codes, factors)
    if data.codes.shape[1] < 2 or len(data.levels) < 2:
        raise UsageError(f"{data.codes.shape[1]} codes and {len(data.levels)} factors: give at least 2 of each")
    found = (by or lasso)(*data.halves(), categorical)
    importance = _shares(found.importance, 0)
    return DCI(
        of_codes=_concentration(importance, 1),
        weight_of_codes=_shares(importance.sum(1), 0),
        of_factors=_concentration(importance, 0),
        informativeness_of_factors=found.informativeness,
        importance=importance,
    )


def _shares(values: Tensor, dim: int) -> Tensor:
    """Values as shares of their sum, or 0 where that is 0."""
    total = values.sum(dim, keepdim=True)
    return torch.where(total > 0, values / total, 0.0)


def _concentration(values: Tensor, dim: int) -> Tensor:
    """1 less the entropy of shares along a dimension in units of its largest; 0 where there is nothing to share."""
    entropy = torch.special.entr(_shares(values, dim)).sum(dim)
    return torch.where(values.sum(dim) > 0, 1 - entropy / math.log(values.shape[dim]), 0.0)


def lasso(train: Representation, test: Representation, categorical: Collection[int] = ()) -> Importances:
    """Importances by linear regressions with an L1 penalty: the sizes of the weights, all columns standardised.

    A categorical factor is regressed as a column for each class, and its weights are summed. The penalty is, for each
    factor, that of five which predicts best; it is learned from one half and chosen by the other.

    Source: Tibshirani, 1996; Eastwood and Williams, 2018.
    """
    design = standardised_by(train.codes, train.codes)[:, :-1], standardised_by(train.codes, test.codes)[:, :-1]
    found = [_lasso_of(*design, *_targets(train, test, factor, factor in categorical)) for factor in _numbers(train)]
    return Importances(torch.stack([importance for importance, _ in found], 1), torch.stack([fit for _, fit in found]))


def _numbers(data: Representation) -> range:
    return range(len(data.levels))


def _targets(train: Representation, test: Representation, factor: int, categorical: bool) -> tuple[Tensor, Tensor]:
    """A factor as columns to predict, standardised by those to learn from."""
    columns = [
        _as_columns(half, factor) if categorical else half.factors[:, [factor]].double() for half in (train, test)
    ]
    return standardised_by(columns[0], columns[0])[:, :-1], standardised_by(columns[0], columns[1])[:, :-1]


def _as_columns(data: Representation, factor: int) -> Tensor:
    return one_hot(data.factors[:, factor], data.levels[factor]).double()


def _lasso_of(x: Tensor, test_x: Tensor, y: Tensor, test_y: Tensor) -> tuple[Tensor, Tensor]:
    """The importance of each code, `(d,)`, and the held-out R^2 of the penalty that predicts best."""
    candidates = [_lasso_weights(x, y, penalty) for penalty in PENALTIES]
    fits = torch.stack([_explained(test_y, test_x @ weight) for weight in candidates])
    best = int(fits.argmax())
    return candidates[best].abs().sum(1), fits[best].clamp(min=0)


def _explained(target: Tensor, prediction: Tensor) -> Tensor:
    """R^2 over all columns."""
    return 1 - (target - prediction).square().sum() / (target - target.mean(0)).square().sum()


def _lasso_weights(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """The weights `(d, targets)` of least mean squared error / 2 + penalty * |weights|, by accelerated shrinkage."""
    gram, pull = x.T @ x / len(x), x.T @ y / len(x)
    rate = 1 / torch.linalg.matrix_norm(gram, 2).clamp(min=1e-12)
    weight = ahead = torch.zeros_like(pull)
    for step in range(1, STEPS + 1):
        raw = ahead - rate * (gram @ ahead - pull)
        shrunk = raw.sign() * (raw.abs() - rate * penalty).clamp(min=0)
        ahead = shrunk + (step - 1) / (step + 2) * (shrunk - weight)
        weight = shrunk
    return weight


def forest(train: Representation, test: Representation, categorical: Collection[int] = ()) -> Importances:
    """Importances by random forests of 100 trees, which see relations that are not linear; needs scikit-learn.

    Source: Breiman, 2001; Eastwood and Williams, 2018. Raises `UsageError` where scikit-learn is not installed.
    """
    try:
        trees = import_module("sklearn.ensemble")
    except ImportError as error:
        raise UsageError("random forests need scikit-learn: pip install scikit-learn, or take by=lasso") from error
    seed = int(torch.randint(2**31, ()))
    importances, fits = [], []
    for factor in _numbers(train):
        kind = trees.RandomForestClassifier if factor in categorical else trees.RandomForestRegressor
        fitted = kind(max_depth=12, random_state=seed).fit(train.codes.numpy(), train.factors[:, factor].numpy())
        score = float(fitted.score(test.codes.numpy(), test.factors[:, factor].numpy()))
        chance = _commonest(train.factors[:, factor], test.factors[:, factor]) if factor in categorical else 0.0
        importances.append(torch.from_numpy(fitted.feature_importances_))
        fits.append(max(0.0, (score - chance) / (1 - chance)) if chance < 1 else 0.0)
    return Importances(torch.stack(importances, 1), torch.tensor(fits, dtype=torch.float64))


def _commonest(learned: Tensor, seen: Tensor) -> float:
    """How often the value that was the commonest comes again: what a guess is worth that knows no code."""
    return float((seen == learned.mode().values).double().mean())
