"""Two samples held against each other, and the aggregate posterior against the prior."""

from __future__ import annotations

import math

import pytest
import torch

from core.linear_gaussian import LinearGaussian, TwoLevels
from core.statistics import SIGMAS
from vaekit.common.errors import UsageError
from vaekit.evaluate import Estimate, against_prior, two_sample
from vaekit.evaluate.comparison import discrimination
from vaekit.evaluate.kernels import (
    blocked_mmd,
    cubic,
    gaussians,
    median_square,
    mmd_squared,
    squared_distances,
)


def test_distances_are_euclidean() -> None:
    a, b = torch.randn(30, 5).double() + 100, torch.randn(40, 5).double() + 100
    torch.testing.assert_close(squared_distances(a, b), torch.cdist(a, b).square(), rtol=1e-8, atol=1e-8)
    assert float(median_square(a, b)) == pytest.approx(10, rel=0.3)


def test_mmd_is_that_of_its_definition() -> None:
    a, b = torch.randn(7, 2).double(), torch.randn(9, 2).double()
    pairs = [cubic(a[[i]], a[[j]]) for i in range(7) for j in range(7) if i != j]
    others = [cubic(b[[i]], b[[j]]) for i in range(9) for j in range(9) if i != j]
    across = [cubic(a[[i]], b[[j]]) for i in range(7) for j in range(9)]
    expected = sum(pairs) / 42 + sum(others) / 72 - 2 * sum(across) / 63
    assert float(mmd_squared(a, b, cubic)) == pytest.approx(float(expected))


def test_mmd_is_unbiased_of_a_known_value() -> None:
    """Under the linear kernel it is the squared distance of the means, at any number of rows."""
    a, b = torch.randn(20_000, 3).double(), torch.randn(20_000, 3).double() + torch.tensor([0.3, 0.0, -0.2]).double()
    found = blocked_mmd(a, b, lambda x, y: x @ y.T, block=5)
    assert found.stderr < 0.02
    assert abs(found.value - 0.13) <= SIGMAS * found.stderr


def test_gaussian_mmd_of_normals_is_the_known_one() -> None:
    """E k = (1 + 2 s^2 / w)^(-d/2) exp(-m^2 / (2 w + 4 s^2)) for kernels of squared width w."""
    mean = 0.5

    def expected_kernel(width: float, off: float) -> float:
        return math.sqrt(width / (width + 2)) * math.exp(-(off**2) / (2 * (width + 2)))

    widths = (0.25, 0.5, 1.0, 2.0, 4.0)
    truth = sum(2 * expected_kernel(width, 0) - 2 * expected_kernel(width, mean) for width in widths) / len(widths)
    found = blocked_mmd(torch.randn(20_000, 1), torch.randn(20_000, 1) + mean, gaussians(torch.tensor(1.0).double()))
    assert abs(found.value - truth) <= SIGMAS * found.stderr
    assert found.stderr < truth / 10


def test_its_error_is_the_spread_between_runs() -> None:
    found = [blocked_mmd(torch.randn(2000, 2), torch.randn(2000, 2), cubic, block=50) for _ in range(150)]
    values = torch.tensor([one.value for one in found])
    assert abs(float(values.mean())) <= SIGMAS * float(values.std()) / math.sqrt(150)
    assert float(values.std()) == pytest.approx(sum(one.stderr for one in found) / 150, rel=0.25)


def test_a_shift_is_found_where_it_is() -> None:
    a, b = torch.randn(2000, 3), torch.randn(2000, 3)
    b[:, 1] += 0.5
    found = two_sample(a, b)
    assert (found.ks.p_value < 1e-6).tolist() == [False, True, False]
    assert int(found.coordinate_mmd.argmax()) == 1
    assert found.mmd.value > SIGMAS * found.mmd.stderr
    assert found.discrimination.p_value < 1e-4
    assert found.discrimination.accuracy.value == pytest.approx(0.5987, abs=0.06)  # Phi(0.25) at best
    torch.testing.assert_close(found.b.mean - found.a.mean, torch.tensor([0, 0.5, 0]).double(), rtol=0, atol=0.16)


def test_what_only_the_whole_shows_is_found_in_the_whole() -> None:
    """Two coordinates, each standard normal in both, but tied together in one."""
    a = torch.randn(4000, 2)
    b = torch.randn(4000, 2)
    b[:, 1] = b[:, 0] * b[:, 1].sign()
    found = two_sample(a, b)
    assert (found.ks.p_value > 1e-3).all()
    assert found.mmd.value > SIGMAS * found.mmd.stderr
    assert found.discrimination.accuracy.value > 0.75


def test_of_the_same_nothing_is_found() -> None:
    p_values = torch.tensor(
        [discrimination(torch.randn(60, 2), torch.randn(60, 2), updates=100).p_value for _ in range(40)]
    )
    assert float(p_values.min()) > 0.001
    assert 0.2 < float(p_values.mean()) < 0.8


def test_the_aggregate_of_the_exact_posterior_is_the_prior() -> None:
    truth = TwoLevels.random()
    x = truth.evidence.sample((2000,))
    found = against_prior(truth.exact_top_down(), x)
    for part in (found.joint, *found.latents.values()):
        assert float(part.ks.p_value.min()) > 1e-4
        assert part.mmd.value < SIGMAS * part.mmd.stderr
        assert part.discrimination.p_value > 1e-4
    assert list(found.latents) == ["z2", "z1"]
    assert found.joint.a.mean.shape == (5,)


def test_the_aggregate_of_a_posterior_that_is_off_is_not() -> None:
    truth = LinearGaussian.random()
    found = against_prior(truth.model(truth.inexact.normal("x")), truth.evidence.sample((2000,)))
    assert (found.joint.ks.p_value < 1e-3).any()
    assert found.joint is found.latents["z"]
    torch.testing.assert_close(found.joint.b.stddev, torch.ones(2).double(), rtol=0, atol=0.08)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\(30, 2\) and \(30, 3\)"):
        two_sample(torch.zeros(30, 2), torch.zeros(30, 3))
    with pytest.raises(UsageError, match="at least 20"):
        two_sample(torch.zeros(10, 2), torch.zeros(30, 2))
    with pytest.raises(UsageError, match="at least 2"):
        blocked_mmd(torch.zeros(1, 2), torch.zeros(30, 2), cubic)


def test_an_estimate_has_the_error_of_a_mean() -> None:
    found = Estimate.mean_of(torch.tensor([1.0, 2.0, 6.0]))
    assert found.value == 3
    assert found.stderr == pytest.approx(math.sqrt(7 / 3))
    assert math.isnan(Estimate.mean_of(torch.ones(1)).stderr)
