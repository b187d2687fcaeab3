"""Expectation maximisation for mixtures of normals with full covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 1e-3
"""Weight of one pseudo-observation of the spread of all points, which keeps a covariance from collapsing."""
NEGLIGIBLE = 1e-10
LEAST = 1e-8
"""The variance of a coordinate that is the same at all points: the same in each component, so that it decides none."""


@dataclass(frozen=True)
class Gaussians:
    """K weighted normals: weights `(K,)`, means `(K, D)`, covariances `(K, D, D)`."""

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def log_joint(self, points: Tensor) -> Tensor:
        """log w_k + log N(point; k), `(n, K)`."""
        factors = torch.linalg.cholesky(self.covariances)
        each = [_log_normal(points - mean, factor) for mean, factor in zip(self.means, factors, strict=True)]
        return torch.stack(each, dim=1) + self.weights.log()

    def log_prob(self, points: Tensor) -> Tensor:
        """The log-density of points `(n, D)`."""
        return self.log_joint(points).logsumexp(1)

    def penalty(self, ridge: Tensor) -> Tensor:
        """The log of the prior that the ridge stands for, up to a constant: a trace of each inverse covariance."""
        return -(ridge * self.covariances.inverse().diagonal(dim1=1, dim2=2)).sum() / 2


def _log_normal(centred: Tensor, factor: Tensor) -> Tensor:
    whitened = torch.linalg.solve_triangular(factor, centred.T, upper=False)
    half_log_det = factor.diagonal().log().sum() + len(factor) * math.log(2 * math.pi) / 2
    log_normal: Tensor = -whitened.square().sum(0) / 2 - half_log_det
    return log_normal


@dataclass(frozen=True)
class Ascent:
    """Where EM ended, and what it climbed: after each step, the log-likelihood with the ridge's prior."""

    mixture: Gaussians
    climbed: tuple[float, ...]


def em(points: Tensor, components: int, iterations: int = 200, tolerance: float = 1e-5, ridge: float = RIDGE) -> Ascent:
    r"""Fit a mixture by EM, from a start by k-means++; no step lowers what it climbs.

    .. math:: \sum_n \log \sum_k w_k N(z_n; \mu_k, \Sigma_k) - \frac{1}{2} \sum_k tr(\Psi \Sigma_k^{-1})

    Args:
        points: `(n, D)`, at least one for each component; draws come from torch's current generator.
        components: K.
        iterations: steps, at most.
        tolerance: gain in nats per point below which it ends.
        ridge: Psi is this part of each coordinate's variance.

    Sources: Dempster, Laird and Rubin, 1977; Arthur and Vassilvitskii, 2007 (k-means++).

    >>> points = torch.tensor([[0.0], [0.2], [5.0], [5.2]], dtype=torch.float64)
    >>> em(points, 2).mixture.means.sort(0).values.flatten()
    tensor([0.1000, 5.1000], dtype=torch.float64)
    """
    floor = ridge * points.var(0, correction=0)
    mixture = maximised(points, nearest(points, plus_plus(points, components)), floor)
    climbed = list[float]()
    for _ in range(iterations):
        log_joint = mixture.log_joint(points)
        climbed.append(float(log_joint.logsumexp(1).sum() + mixture.penalty(floor)))
        if len(climbed) > 1 and climbed[-1] - climbed[-2] < tolerance * len(points):
            break
        mixture = maximised(points, log_joint.softmax(1), floor)
    return Ascent(mixture, tuple(climbed))


def maximised(points: Tensor, responsibilities: Tensor, floor: Tensor) -> Gaussians:
    """The M-step: the best mixture for responsibilities `(n, K)`."""
    counts = responsibilities.sum(0).clamp(min=NEGLIGIBLE)
    means = responsibilities.T @ points / counts.unsqueeze(1)
    scatters = [_scatter(points - mean, share) for mean, share in zip(means, responsibilities.T, strict=True)]
    still = LEAST * (points == points[0]).all(0).to(points)
    covariances = (torch.stack(scatters) + floor.diag()) / counts.reshape(-1, 1, 1) + still.diag()
    return Gaussians(counts / counts.sum(), means, covariances)


def _scatter(centred: Tensor, share: Tensor) -> Tensor:
    return (centred * share.unsqueeze(1)).T @ centred


def plus_plus(points: Tensor, components: int) -> Tensor:
    """Starting centres among the points, each drawn in proportion to its squared distance from those before it."""
    centres = points[torch.randint(len(points), (1,), device=points.device)]
    while len(centres) < components:
        distance = torch.cdist(points, centres).min(1).values.square()
        chances = torch.where(distance.sum() > 0, distance, torch.ones_like(distance))
        centres = torch.cat([centres, points[chances.multinomial(1)]])
    return centres


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """All responsibility to the nearest centre, `(n, K)`."""
    return torch.nn.functional.one_hot(torch.cdist(points, centres).argmin(1), len(centres)).to(points)
