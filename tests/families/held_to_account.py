"""What every distribution must do, whatever it is: families and priors are both held to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Distribution

from families.quadrature import expectation, mean_of, nodes_of

DRAWS = 8000
SIGMAS = 5.0
CHANCE = 1e-6
"""The level of a test of fit: about five standard errors."""
ROUGH = {1: 2e-5, 2: 2e-3}
"""What the quadrature is off by at most, over vectors of one and of two coordinates."""


def waves(x: Tensor) -> Tensor:
    """cos and sin of t . x for a few t: bounded, and their means characterise a distribution."""
    t = torch.tensor([[0.3], [1.0], [2.5]], dtype=x.dtype)
    if x.shape[-1] == 2:
        t = torch.tensor([[0.5, 0.0], [0.0, 1.0], [0.8, 0.9], [1.5, -1.2]], dtype=x.dtype)
    phase = x @ t.T
    return torch.cat([phase.cos(), phase.sin()], dim=-1)


def assert_mean(sample: Tensor, expected: Tensor, slack: float) -> None:
    """The mean over the first axis is the expected one within five standard errors."""
    error = SIGMAS * sample.std(0) / len(sample) ** 0.5 + slack
    off = (sample.mean(0) - expected).abs()
    assert (off <= error).all(), f"off by {off.max():.3g}, allowed {error.max():.3g}"


@torch.no_grad()
def assert_sums_to_one(distribution: Distribution, dimensions: int, slack: float = 0.0) -> None:
    total = expectation(distribution, dimensions, lambda x: torch.ones_like(x[..., :1]))
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=ROUGH[dimensions] + slack)


def draws_of(distribution: Distribution, draws: int = DRAWS) -> Tensor:
    """Draws (draw, batch, *event)."""
    batch = distribution.batch_shape[-1] if distribution.batch_shape else 1
    return distribution.expand(torch.Size((draws, batch))).sample()


@torch.no_grad()
def assert_draws_follow_the_density(distribution: Distribution, dimensions: int, slack: float = 0.0) -> None:
    """The draws have the density's characteristic function, and its entropy."""
    draws, slack = draws_of(distribution), ROUGH[dimensions] + slack
    nodes, weights = nodes_of(distribution, dimensions)
    log_prob = distribution.log_prob(nodes).clamp(min=-1e6)  # so that p log p is 0 where p is
    mass = weights * log_prob.exp()
    assert_mean(waves(draws), (mass.unsqueeze(-1) * waves(nodes)).sum(0), slack)
    assert_mean(distribution.log_prob(draws), (mass * log_prob).sum(0), 10 * slack)


@torch.no_grad()
def assert_mean_is_right(distribution: Distribution, dimensions: int, slack: float = 0.0) -> None:
    mean, exact = mean_of(distribution), expectation(distribution, dimensions, lambda x: x)
    if mean is None:
        pytest.skip("its mean has no closed form")
    mean = mean.reshape(-1, dimensions).expand_as(exact)
    torch.testing.assert_close(mean, exact, rtol=5 * ROUGH[dimensions], atol=ROUGH[dimensions] + slack)


@torch.no_grad()
def assert_draws_fit_the_distribution_function(distribution: Distribution) -> None:
    """Kolmogorov-Smirnov, or chi-square for discrete values, of draws of one coordinate against the summed density."""
    nodes, weights = nodes_of(distribution, 1)
    masses = (weights * distribution.log_prob(nodes).exp()).T
    draws = draws_of(distribution).squeeze(-1).T
    assert distribution.support is not None
    fit = _chi_square if distribution.support.is_discrete else _kolmogorov_smirnov
    for drawn, mass in zip(draws, masses, strict=True):
        assert fit(drawn.numpy(), nodes.flatten().numpy(), mass.numpy()) > CHANCE


def _kolmogorov_smirnov(drawn: Any, nodes: Any, mass: Any) -> float:
    cumulative = np.cumsum(mass) - mass / 2
    return float(stats.kstest(drawn, lambda x: np.interp(x, nodes, cumulative)).pvalue)


def _chi_square(drawn: Any, nodes: Any, mass: Any) -> float:
    """Values that are expected ten times or more count each for itself, all others together."""
    expected, observed = len(drawn) * mass, np.array([np.isclose(drawn, node, atol=1e-6).sum() for node in nodes])
    common = expected >= 10
    seen = np.append(observed[common], len(drawn) - observed[common].sum())
    awaited = np.append(expected[common], len(drawn) - expected[common].sum())
    if awaited[-1] < 1:
        assert seen[-1] < 20
        seen, awaited = seen[:-1], awaited[:-1]
    return float(stats.chi2.sf(((seen - awaited) ** 2 / awaited).sum(), max(len(seen) - 1, 1)))
