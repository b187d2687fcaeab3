"""Rubin's rules: their arithmetic, and that intervals cover the truth."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from core.linear_gaussian import LinearGaussian
from core.statistics import assert_mean, stderr
from vaekit.common.errors import UsageError
from vaekit.core import Batch
from vaekit.uses.complete import complete
from vaekit.uses.completion.draws import Resampling, draw_completions
from vaekit.uses.completion.pooling import pool, student_quantile


def test_the_quantiles_of_students_t_are_those_of_scipy() -> None:
    degrees = torch.tensor([1.0, 1.3, 2.0, 5.0, 30.0, 1e4, 1e9]).double()
    for p in (0.6, 0.9, 0.975, 0.9995):
        exact = torch.from_numpy(stats.t.ppf(p, degrees.numpy()))
        torch.testing.assert_close(student_quantile(p, degrees), exact, rtol=1e-6, atol=0)


def test_the_variances_add_up_by_rubins_rules() -> None:
    estimates, variances = torch.randn(7, 3).double(), torch.rand(7, 3).double()
    found = pool(estimates, variances, complete_degrees=50)
    between = estimates.var(0)
    total = variances.mean(0) + 8 / 7 * between
    torch.testing.assert_close(found.total, total)
    share = 8 / 7 * between / total
    torch.testing.assert_close(found.missing_share, share)
    old, seen = 6 / share**2, 51 / 53 * 50 * (1 - share)
    torch.testing.assert_close(found.degrees, old * seen / (old + seen))
    low, high = found.interval(0.9)
    torch.testing.assert_close((low + high) / 2, found.estimate)
    reach = torch.from_numpy(stats.t.ppf(0.95, found.degrees.numpy())) * total.sqrt()
    torch.testing.assert_close(high - found.estimate, reach)


def test_copies_that_agree_leave_what_there_was_without_holes() -> None:
    found = pool(torch.ones(5), torch.full((5,), 0.25))
    assert found.stderr == 0.5
    low, high = found.interval(0.95)
    torch.testing.assert_close(high - low, torch.tensor(2 * stats.norm.ppf(0.975) * 0.5).double(), rtol=1e-6, atol=0)


def regression(data: Tensor) -> tuple[Tensor, Tensor]:
    """Slope of the last column on the first and its squared standard error, of data sets `(..., n, d)`."""
    x, y = data[..., 0], data[..., -1]
    x, y = x - x.mean(-1, keepdim=True), y - y.mean(-1, keepdim=True)
    sxx = x.square().sum(-1)
    slope = (x * y).sum(-1) / sxx
    noise = (y - slope.unsqueeze(-1) * x).square().sum(-1) / (data.shape[-2] - 2)
    return slope, noise / sxx


def test_a_regression_on_draws_is_unbiased_and_its_intervals_cover_and_conditional_means_vary_too_little() -> None:
    truth, sets, rows, copies = LinearGaussian.random(), 200, 40, 10
    cov = truth.evidence.covariance_matrix
    slope = cov[0, 3] / cov[0, 0]
    x = truth.evidence.sample((sets * rows,))
    holed = Batch(x.masked_fill(torch.rand(x.shape) < 0.4, torch.nan))
    model = truth.model(truth.exact.full_normal("x"))
    drawn = draw_completions(model, holed, copies, 200, how=Resampling(), encode=lambda rows: rows).x
    pooled = pool(*regression(drawn.unflatten(1, (sets, rows))), complete_degrees=rows - 2)
    low, high = pooled.interval(0.9)
    covered = ((low <= slope) & (slope <= high)).double().mean()
    assert covered > 0.9 - 5 * math.sqrt(0.09 / sets)
    assert_mean(pooled.estimate, slope)
    spread = [drawn[0], complete(model, holed, 100, encode=lambda rows: rows).x]
    of_draws, of_means = (x[:, 3].unflatten(0, (sets, rows)).var(1) for x in spread)
    assert_mean(of_draws, cov[3, 3])
    assert of_means.mean() < cov[3, 3] - 5 * stderr(of_means)


def test_one_copy_is_refused() -> None:
    with pytest.raises(UsageError, match="from 2 on"):
        pool(torch.ones(1), torch.ones(1))
    with pytest.raises(UsageError, match="a variance for each"):
        pool(torch.ones(3, 2), torch.ones(3))


def test_where_nothing_varies_the_interval_is_a_point() -> None:
    for degrees in (float("inf"), 3.0):
        low, high = pool(torch.ones(3), torch.zeros(3), degrees).interval()
        assert float(low) == float(high) == 1


def test_degrees_of_freedom_are_never_less_than_one() -> None:
    pooled = pool(torch.tensor([1.0, 3.0, 5.0]), torch.full((3,), 0.1), complete_degrees=3)
    assert float(pooled.degrees) == 1
