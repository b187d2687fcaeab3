"""How Monte Carlo estimates are judged: by their own standard error."""

from __future__ import annotations

import torch
from torch import Tensor

SIGMAS = 5.0


def stderr(draws: Tensor) -> Tensor:
    """The standard error of the mean over the first axis."""
    return draws.std(0) / len(draws) ** 0.5


def assert_mean(draws: Tensor, expected: Tensor, slack: float = 1e-10) -> None:
    """The mean over the first axis is the expected one within five standard errors."""
    off = (draws.mean(0) - expected).abs()
    assert (off <= SIGMAS * stderr(draws) + slack).all(), f"off by {off.max():.4g}, stderr {stderr(draws).max():.4g}"


def assert_moments(draws: Tensor, mean: Tensor, covariance: Tensor) -> None:
    """Normal draws (n, dim) have this mean and covariance within five standard errors of each entry."""
    n, variance = len(draws), covariance.diagonal()
    assert ((draws.mean(0) - mean).abs() <= SIGMAS * (variance / n).sqrt()).all()
    error = ((torch.outer(variance, variance) + covariance.square()) / n).sqrt()
    assert ((draws.T.cov() - covariance).abs() <= SIGMAS * error).all()
