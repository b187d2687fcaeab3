"""What an encoder sees of a row."""

from __future__ import annotations

import pytest
import torch

from families.columns.cases import ALL, at_rest
from vaekit.core import Batch
from vaekit.families.columns import Marginal, TableFeatures
from vaekit.families.columns.features import EMBEDDED
from vaekit.uses import alone

MARGINALS = (
    Marginal("categorical", 3, (0.2, 0.3, 0.5)),
    Marginal("normal", shape=(40.0, 10.0), holes=True),
    Marginal("spiked", start=(0.5, 0.5), warp="log", shape=(0.0, 1.0), atoms=(0.0,)),
    Marginal("low_rank_categorical", 50, (0.02,) * 50),
)


def test_numbers_are_at_unit_scale_levels_and_atoms_one_hot_and_holes_are_told() -> None:
    eye = TableFeatures(MARGINALS)
    rows = torch.tensor([[2.0, 50.0, 0.0, 7.0], [torch.nan, torch.nan, torch.e, torch.nan]])
    seen = eye(rows).detach()
    assert seen.shape == (2, eye.features) == (2, 2 + 4 + EMBEDDED + 4)
    first, numbers = seen[:, 2:6], sorted(seen[0, :2].tolist())
    assert numbers == pytest.approx([0.0, 1.0])
    assert sorted(seen[1, :2].tolist()) == pytest.approx([0.0, 1.0])
    assert first.tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]
    assert seen[0, 6:18].any()
    assert not seen[1, 6:18].any()
    assert seen[1, 18:].tolist() == [0, 1, 0, 0]  # only where holes were seen before, at first


def test_an_outlier_is_drawn_in_but_not_hidden() -> None:
    eye = TableFeatures((Marginal("normal"),))
    seen = eye(torch.tensor([[3.0], [10.0], [1e6], [1e30]])).detach()[:, 0]
    assert float(seen[0]) == 3
    assert (seen.diff() > 0).all()
    assert seen.max() < 100


def test_a_level_says_the_same_in_whatever_row_and_others_something_else() -> None:
    seen = TableFeatures(MARGINALS)(torch.tensor([[0.0, 0.0, 1.0, 7.0], [1.0, 9.0, 1.0, 7.0], [1.0, 9.0, 1.0, 8.0]]))
    vectors = seen[:, 6:18]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[1], vectors[2])


def test_features_have_finite_gradients_and_rows_are_seen_at_once_as_one_by_one() -> None:
    torch.manual_seed(0)
    marginals = tuple(ALL.values())
    eye = TableFeatures(marginals).double()
    x = at_rest(*marginals).expand(torch.Size((1, 30))).sample()[0]
    x = x.masked_fill(torch.rand(x.shape) < 0.3, torch.nan)
    eye(x).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in eye.parameters())
    with torch.no_grad():
        torch.testing.assert_close(alone._together(lambda one: eye(one.x)[0], Batch(x), seed=0), eye(x))
