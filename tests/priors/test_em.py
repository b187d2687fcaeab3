from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from vaekit.priors.em import Gaussians, em, maximised, nearest, plus_plus

TRUTH = Gaussians(
    torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
    torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]]).double(),
    torch.tensor([[[1.0, 0.6], [0.6, 1.0]], [[0.5, 0.0], [0.0, 2.0]], [[0.3, -0.1], [-0.1, 0.4]]]).double(),
)


def as_torch(mixture: Gaussians) -> MixtureSameFamily:
    return MixtureSameFamily(
        Categorical(mixture.weights), MultivariateNormal(mixture.means, covariance_matrix=mixture.covariances)
    )


def points_of(mixture: Gaussians, n: int = 5000) -> Tensor:
    return as_torch(mixture).sample(torch.Size((n,)))


def test_the_density_is_that_of_the_mixture() -> None:
    points = points_of(TRUTH, 50)
    torch.testing.assert_close(TRUTH.log_prob(points), as_torch(TRUTH).log_prob(points), rtol=1e-12, atol=1e-12)


def test_a_known_mixture_is_recovered() -> None:
    points = points_of(TRUTH)
    found = max((em(points, 3) for _ in range(3)), key=lambda ascent: ascent.climbed[-1]).mixture
    order = [int(torch.cdist(TRUTH.means[k : k + 1], found.means).argmin()) for k in range(3)]
    assert sorted(order) == [0, 1, 2]
    torch.testing.assert_close(found.weights[order], TRUTH.weights, rtol=0, atol=0.03)
    torch.testing.assert_close(found.means[order], TRUTH.means, rtol=0, atol=0.15)
    torch.testing.assert_close(found.covariances[order], TRUTH.covariances, rtol=0, atol=0.2)
    assert found.log_prob(points).mean() >= TRUTH.log_prob(points).mean()


@pytest.mark.parametrize("components", [1, 2, 3, 8])
@pytest.mark.parametrize("ridge", [1e-9, 1e-3, 1.0])
def test_no_step_lowers_what_is_climbed(components: int, ridge: float) -> None:
    points = points_of(TRUTH, 400)
    climbed = torch.tensor(em(points, components, iterations=60, tolerance=-math.inf, ridge=ridge).climbed)
    assert len(climbed) == 60
    assert (climbed.diff() > -1e-9 * climbed.abs().max()).all()


def test_without_a_ridge_what_is_climbed_is_the_likelihood() -> None:
    points = points_of(TRUTH, 400)
    ascent = em(points, 3, iterations=30, tolerance=-math.inf, ridge=1e-12)
    last = maximised(points, ascent.mixture.log_joint(points).softmax(1), torch.zeros(2).double())
    assert ascent.climbed[-1] <= last.log_prob(points).sum() + 1e-6


def test_the_best_single_normal_has_the_moments() -> None:
    points = points_of(TRUTH, 400)
    mixture = em(points, 1, ridge=1e-12).mixture
    torch.testing.assert_close(mixture.means[0], points.mean(0), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mixture.covariances[0], points.T.cov(correction=0), rtol=1e-9, atol=1e-9)


def test_a_component_on_a_single_point_does_not_collapse() -> None:
    points = torch.cat([torch.randn(200, 2).double(), torch.full((1, 2), 50.0).double()])
    mixture = em(points, 2, iterations=100).mixture
    assert mixture.log_prob(points).isfinite().all()
    assert torch.linalg.eigvalsh(mixture.covariances).min() > 1e-4


def test_more_components_than_distinct_points_are_borne() -> None:
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]]).double().repeat(5, 1)
    mixture = em(points, 6).mixture
    assert mixture.log_prob(points).isfinite().all()
    torch.testing.assert_close(mixture.weights.sum(), torch.tensor(1.0).double())


def test_starts_are_spread_out() -> None:
    """k-means++ draws in proportion to squared distance: three tight, distant clusters each get a centre."""
    clusters = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]]).double()
    points = (clusters.unsqueeze(1) + 0.01 * torch.randn(3, 50, 2).double()).flatten(0, 1)
    for _ in range(20):
        centres = plus_plus(points, 3)
        assert nearest(clusters, centres).sum(0).eq(1).all()


@pytest.mark.parametrize("components", [1, 2])
def test_a_coordinate_that_never_varies_is_a_narrow_normal(components: int) -> None:
    points = torch.randn(500, 2).double()
    points[:, 1] = 3.0
    mixture = em(points, components).mixture
    torch.testing.assert_close(mixture.means[:, 1], torch.full((components,), 3.0).double())
    assert float(mixture.covariances[:, 1, 1].max()) < 1e-6
    assert mixture.log_prob(points).isfinite().all()
