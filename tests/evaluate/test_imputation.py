"""Errors of completions by hand."""

from __future__ import annotations

import math

import pytest
import torch

from vaekit.common.errors import UsageError
from vaekit.evaluate.imputation import coverage, recovery


def test_errors_are_counted_over_hidden_cells_alone_and_on_each_columns_own_scale() -> None:
    truth = torch.tensor([[0.0, 10.0, 2.0], [2.0, 30.0, 1.0], [4.0, 20.0, 0.0], [6.0, 20.0, torch.nan]])
    hidden = torch.tensor([[1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 0, 1]]).bool()
    completed = torch.tensor([[1.0, 99.0, 2.0], [99.0, 40.0, 0.0], [2.0, 99.0, 9.0], [99.0, 9.0, 1.0]])
    found = recovery(completed, truth, hidden, torch.tensor([False, False, True]))
    assert found.squared_error[:2].tolist() == pytest.approx([(1 + 4) / 2 / 5, 100 / 50])
    assert found.squared_error[2].isnan()
    assert found.accuracy[2] == 0.5  # the cell whose truth is missing is left out
    assert found.accuracy[:2].isnan().all()
    assert found.hidden.tolist() == [2, 1, 2]
    assert found.mse == pytest.approx((1 / 5 + 4 / 5 + 2) / 3)
    assert found.rmse == pytest.approx(found.mse**0.5)
    assert found.error_rate == 0.5


def test_the_column_mean_has_an_error_of_one() -> None:
    truth = torch.randn(500, 3) * torch.tensor([1.0, 10.0, 1e4]) + 7
    completed = truth.mean(0).expand(500, 3)
    found = recovery(completed, truth, torch.ones(500, 3).bool(), torch.zeros(3).bool())
    torch.testing.assert_close(found.squared_error, torch.ones(3).double(), rtol=1e-4, atol=0)
    assert math.isnan(found.error_rate)


def test_a_column_of_one_value_is_measured_as_it_is() -> None:
    found = recovery(torch.full((4, 1), 3.0), torch.ones(4, 1), torch.ones(4, 1).bool(), torch.zeros(1).bool())
    assert found.mse == 4


def test_coverage_is_the_share_of_hidden_cells_in_their_intervals() -> None:
    truth = torch.arange(10.0).reshape(5, 2)
    hidden = torch.arange(10).reshape(5, 2) < 4
    found = coverage(torch.full((5, 2), 1.0), torch.full((5, 2), 3.0), truth, hidden)
    assert found.value == 0.75


def test_unlike_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="give them the same"):
        recovery(torch.ones(2, 3), torch.ones(2, 2), torch.ones(2, 2).bool(), torch.zeros(2).bool())
