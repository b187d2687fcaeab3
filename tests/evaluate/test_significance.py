"""Statistics and p-values, against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score

from core.statistics import SIGMAS
from vaekit.common.errors import UsageError
from vaekit.evaluate.significance import (
    chi_square_upper_tail,
    kolmogorov_smirnov,
    normal_upper_tail,
    superiority,
    uniformity,
)


def test_tails_are_those_of_scipy() -> None:
    at = torch.linspace(-3, 8, 23).double()
    np.testing.assert_allclose(normal_upper_tail(at), stats.norm.sf(at), rtol=1e-6)
    for freedom in (1, 4, 15):
        np.testing.assert_allclose(
            chi_square_upper_tail(at.abs(), freedom), stats.chi2.sf(at.abs(), freedom), rtol=1e-6
        )


def test_uniformity_is_pearsons_test() -> None:
    counts = torch.tensor([[10, 12, 9, 21], [13, 13, 13, 13]])
    found = uniformity(counts)
    for row, statistic, p_value in zip(counts.numpy(), found.statistic, found.p_value, strict=True):
        expected = stats.chisquare(row)
        assert float(statistic) == pytest.approx(expected.statistic)
        assert float(p_value) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(("n", "m"), [(300, 500), (2000, 100)])
def test_kolmogorov_smirnov_is_that_of_scipy(shift: float, n: int, m: int) -> None:
    a, b = torch.randn(n, 3), torch.randn(m, 3) + shift
    a[:50] = a[:50].round()
    found = kolmogorov_smirnov(a, b)
    for column in range(3):
        expected = stats.ks_2samp(a[:, column].numpy(), b[:, column].numpy(), method="asymp")
        assert float(found.statistic[column]) == pytest.approx(expected.statistic, abs=1e-9)
        assert float(found.p_value[column]) == pytest.approx(expected.pvalue, rel=0.25, abs=0.02)


def test_its_p_values_of_few_draws_are_nearly_exact() -> None:
    for shift in (0.3, 0.45, 0.6):
        a, b = torch.randn(60, 1), torch.randn(90, 1) + shift
        expected = stats.ks_2samp(a[:, 0].numpy(), b[:, 0].numpy(), method="exact").pvalue
        assert float(kolmogorov_smirnov(a, b).p_value) == pytest.approx(expected, rel=0.13)


def test_its_p_values_are_uniform_where_both_are_alike() -> None:
    p_values = kolmogorov_smirnov(torch.randn(400, 2000), torch.randn(500, 2000)).p_value
    for level in (0.01, 0.1, 0.5):
        share = float((p_values < level).double().mean())
        assert abs(share - level) <= SIGMAS * (level * (1 - level) / 2000) ** 0.5 + 0.03 * level + 0.01


def test_superiority_is_the_area_under_the_roc_curve_and_mann_whitneys_test() -> None:
    above, below = torch.randn(60) + 0.4, torch.randn(90)
    found = superiority(above, below)
    scores, labels = np.concatenate([above, below]), np.repeat([1, 0], [60, 90])
    assert found.share == pytest.approx(roc_auc_score(labels, scores))
    expected = stats.mannwhitneyu(above, below, alternative="greater", method="asymptotic", use_continuity=False)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_ties_count_for_a_half() -> None:
    above, below = torch.randint(0, 4, (70,)), torch.randint(0, 5, (80,))
    expected = stats.mannwhitneyu(above, below, alternative="greater", method="asymptotic", use_continuity=False)
    found = superiority(above, below)
    assert found.share == pytest.approx(expected.statistic / (70 * 80))
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert superiority(torch.ones(3), torch.ones(3)).p_value == 0.5


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        superiority(torch.ones(0), torch.ones(3))
