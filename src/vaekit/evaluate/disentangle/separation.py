"""Disentanglement by simple predictors: separated attribute predictability, and explicitness."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from vaekit.evaluate.disentangle.information import BINS, binned
from vaekit.evaluate.disentangle.representation import Representation, gap
from vaekit.evaluate.linear import minimised, standardised_by
from vaekit.evaluate.significance import superiority

PENALTY = 1e-3


@dataclass(frozen=True)
class Separation:
    """Separated attribute predictability: 1 where each factor is predicted by one code alone, 0 where by none more."""

    of_factors: Tensor
    """`(factor,)`."""
    scores: Tensor
    """How well each code by itself predicts each factor, `(code, factor)`: 0 not at all, 1 exactly."""

    @property
    def value(self) -> float:
        """The mean over factors."""
        return float(self.of_factors.mean())


def separated_attribute_predictability(
    codes: ArrayLike | Tensor, factors: ArrayLike | Tensor, categorical: Collection[int] = ()
) -> Separation:
    """For each factor, how much better the best code predicts it than the second best.

    A factor's score is R^2, the squared correlation with the code; a categorical one's is the accuracy, each class of
    the same weight, of telling its class from the bin that the code is in, on the half of the rows that was not learned
    from, scaled so that guessing has 0.

    Args:
        codes: `(n, d)`.
        factors: `(n, f)`, whole numbers.
        categorical: the numbers of the factors whose values have no order.

    Source: Kumar, Sattigeri and Balakrishnan, 2018.

    >>> factors = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    >>> round(separated_attribute_predictability(factors.double(), factors).value, 6)
    1.0
    """
    data = Representation.of(codes, factors)
    halves = data.halves()
    columns = [
        _class_scores(*halves, factor) if factor in categorical else _squared_correlations(data, factor)
        for factor in range(len(data.levels))
    ]
    scores = torch.stack(columns, 1)
    return Separation(gap(scores), scores)


def _squared_correlations(data: Representation, factor: int) -> Tensor:
    """Of each code with a factor, `(d,)`; 0 for a code that does not vary."""
    codes, values = data.codes - data.codes.mean(0), data.factors[:, factor].double()
    values = values - values.mean()
    spread = codes.square().sum(0) * values.square().sum()
    return torch.where(spread > 0, (values @ codes).square() / spread, 0.0)


def _class_scores(train: Representation, test: Representation, factor: int) -> Tensor:
    """How well the bin of each code tells a factor's class, `(d,)`, from 0 for guessing to 1."""
    levels = train.levels[factor]
    scores = torch.stack(
        [
            _balanced_accuracy(train.factors[:, factor], test.factors[:, factor], *_binned_alike(code, other, levels))
            for code, other in zip(train.codes.unbind(1), test.codes.unbind(1), strict=True)
        ]
    )
    return ((scores - 1 / levels) / (1 - 1 / levels)).clamp(min=0)


def _binned_alike(train: Tensor, test: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    bins = binned(torch.cat([train, test]), max(BINS, levels))
    return bins[: len(train)], bins[len(train) :]


def _balanced_accuracy(train: Tensor, test: Tensor, train_bins: Tensor, test_bins: Tensor) -> Tensor:
    """The share of rows whose class is the likeliest of their bin, with every class of the same weight."""
    class_of_bin = _class_shares(train, train_bins, int(max(train_bins.max(), test_bins.max())) + 1).argmax(0)
    right = (class_of_bin[test_bins] == test).double()
    return torch.stack([right[test == level].mean() for level in test.unique()]).mean()


def _class_shares(classes: Tensor, bins: Tensor, n_bins: int) -> Tensor:
    """The share of each class's rows that is in each bin, `(class, bin)`."""
    counts = torch.zeros(int(classes.max()) + 1, n_bins, dtype=torch.float64)
    counts.index_put_((classes, bins), torch.ones(len(classes), dtype=torch.float64), accumulate=True)
    return counts / counts.sum(1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class Explicitness:
    """How well all codes together tell each value of a factor, linearly: 1 exactly, 0.5 not at all."""

    of_factors: Tensor
    """`(factor,)`: areas under the ROC curve, averaged over the factor's values."""

    @property
    def value(self) -> float:
        """The mean over factors."""
        return float(self.of_factors.mean())


def explicitness(codes: ArrayLike | Tensor, factors: ArrayLike | Tensor) -> Explicitness:
    """How well a logistic regression on all codes tells each value of each factor from the factor's other values.

    It is linear: of a factor that one code holds as a number, the values in the middle are not told from both ends.

    Args:
        codes: `(n, d)`.
        factors: `(n, f)`, whole numbers. Half of the rows are learned from, the other half is scored.

    Source: Ridgeway and Mozer, 2018.

    >>> factors = torch.arange(3).repeat(20).unsqueeze(1)
    >>> explicitness(one_hot(factors[:, 0]).double(), factors).value
    1.0
    """
    train, test = Representation.of(codes, factors).halves()
    areas = [_areas(train, test, factor).mean() for factor in range(len(train.levels))]
    return Explicitness(torch.stack(areas))


def _areas(train: Representation, test: Representation, factor: int) -> Tensor:
    """The area under the ROC curve of each of a factor's values that both halves have seen."""
    levels = train.levels[factor]
    scores = _one_against_rest(train, test, factor)
    present = [level for level in range(levels) if 0 < (test.factors[:, factor] == level).sum() < len(test.codes)]
    return torch.tensor(
        [_area(scores[:, level], test.factors[:, factor] == level) for level in present], dtype=torch.float64
    )


def _area(score: Tensor, is_level: Tensor) -> float:
    return superiority(score[is_level], score[~is_level]).share


def _one_against_rest(train: Representation, test: Representation, factor: int) -> Tensor:
    """Logits of each value of a factor on the test rows, `(n, levels)`, from a logistic regression for each."""
    learn, apply = standardised_by(train.codes, train.codes), standardised_by(train.codes, test.codes)
    target = one_hot(train.factors[:, factor], train.levels[factor]).double()

    def loss(weight: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(learn @ weight, target) + PENALTY * weight[:-1].square().mean()

    return apply @ minimised(loss, torch.zeros(learn.shape[1], target.shape[1], dtype=torch.float64))
