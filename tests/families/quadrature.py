"""Integrals and sums over the support of any distribution of vectors, without a draw: what densities are held against.

A rule is `(nodes, weights)` over one coordinate: the integral of f is about the sum of weights * f(nodes). Continuous
rules are trapezoids after a change of variables that sends the ends of the support to infinity, where they converge
geometrically, singular ends and heavy tails included. Source: Takahasi and Mori, 1974.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

Rule = tuple[Tensor, Tensor]
STEPS = {1: 8001, 2: 301}
"""Nodes of a rule, for vectors of one and of two coordinates."""
FAR = {1: 20.0, 2: 8.0}
"""How far the changed variable goes: the values themselves to about e^20, and e^8."""


def _grid(low: float, high: float, steps: int) -> Rule:
    nodes = torch.linspace(low, high, steps, dtype=torch.float64)
    return nodes, torch.full_like(nodes, (high - low) / (steps - 1))


def real_line(steps: int, far: float) -> Rule:
    """x = sinh u."""
    u, du = _grid(-far, far, steps)
    return u.sinh(), u.cosh() * du


def half_line(steps: int, far: float) -> Rule:
    """x = exp(u - exp(-u))."""
    u, du = _grid(-4.0, far, steps)
    x = (u - (-u).exp()).exp()
    return x, x * (1 + (-u).exp()) * du


def unit_interval(steps: int, far: float) -> Rule:
    """x = (1 + tanh(pi / 2 sinh u)) / 2."""
    u, du = _grid(-3.1, 3.1, steps)
    inner = math.pi / 2 * u.sinh()
    return torch.sigmoid(2 * inner), math.pi / 4 * u.cosh() / inner.cosh() ** 2 * du


def circle(steps: int) -> Rule:
    """Directions in the plane, by their angle."""
    angle, arc = _grid(0.0, 2 * math.pi, steps)
    arc[0], arc[-1] = arc[0] / 2, arc[-1] / 2
    return torch.stack([angle.cos(), angle.sin()], dim=1), arc


def proportions(steps: int) -> Rule:
    """Two shares of 1, by the first of them."""
    share, weight = unit_interval(steps, FAR[1])
    return torch.stack([share, 1 - share], dim=1), weight


def within(support: Constraint, vectors: Tensor) -> Tensor:
    """Which of the vectors (n, dimensions) a support contains, whatever the batch, (n,)."""
    return support.check(vectors.unsqueeze(1)).reshape(len(vectors), -1).all(1)


def holds(support: Constraint, *vector: float) -> bool:
    """Whether a support contains a vector."""
    return bool(within(support, torch.tensor([vector], dtype=torch.float64)))


def support_of(distribution: Distribution) -> Constraint:
    assert distribution.support is not None
    return distribution.support


def mean_of(distribution: Distribution) -> Tensor | None:
    """The mean, or None where it has no closed form."""
    try:
        return distribution.mean
    except NotImplementedError:
        return None


def is_sure(distribution: Distribution) -> bool:
    """Whether a distribution has all its mass on one value."""
    try:
        return not bool(distribution.variance.any())
    except NotImplementedError:
        return False


def bounded(support: Constraint, dimensions: int) -> bool:
    """Whether a support is that of real values between 0 and 1."""
    return not support.is_discrete and holds(support, *[0.3] * dimensions) and not holds(support, *[1.5] * dimensions)


def every_vector(coordinate: Tensor, dimensions: int) -> Tensor:
    """All vectors of these coordinates, (n, dimensions)."""
    return torch.cartesian_prod(*[coordinate] * dimensions).reshape(-1, dimensions)


def product_rule(coordinate: Rule, dimensions: int) -> Rule:
    nodes, weights = coordinate
    return every_vector(nodes, dimensions), every_vector(weights, dimensions).prod(1)


def discrete_rule(distribution: Distribution, dimensions: int) -> Rule:
    """Whole numbers from 0 on, or 8-bit greys; of a point, the point."""
    if is_sure(distribution):
        vectors = distribution.sample().reshape(-1, dimensions).unique(dim=0)
    else:
        vectors = every_vector(values_of(support_of(distribution), dimensions), dimensions)
    return vectors, torch.ones(len(vectors), dtype=torch.float64)


def values_of(support: Constraint, dimensions: int) -> Tensor:
    """What a coordinate may be: 0 or 1, 8-bit greys, or whole numbers."""
    values = torch.arange(256, dtype=torch.float64)
    if holds(support, *[1 / 255] * dimensions):
        return values / 255
    return values if within(support, every_vector(values[2:5], dimensions)).any() else values[:2]


def continuous_rule(support: Constraint, dimensions: int) -> Rule:
    """The rule over the line, the half line, the unit interval, or over a curve in the plane."""
    steps, far = STEPS[dimensions], FAR[dimensions]
    if holds(support, *[-1.5] * dimensions):
        return product_rule(real_line(steps, far), dimensions)
    if holds(support, *[1.5] * dimensions):
        return product_rule(half_line(steps, far), dimensions)
    if holds(support, *[0.3] * dimensions):
        return product_rule(unit_interval(steps, far), dimensions)
    if dimensions == 1:
        pytest.skip(f"nothing to integrate over among {support} of one coordinate")
    return proportions(STEPS[1]) if holds(support, 0.3, 0.7) else circle(STEPS[1])


def nodes_of(distribution: Distribution, dimensions: int) -> Rule:
    """Nodes (node, 1, dimensions) inside the support of vectors of one or two coordinates, and weights (node, 1)."""
    support = support_of(distribution)
    if support.is_discrete:
        vectors, weights = discrete_rule(distribution, dimensions)
    else:
        vectors, weights = continuous_rule(support, dimensions)
    inside = within(support, vectors)
    return vectors[inside].unsqueeze(1), weights[inside].unsqueeze(1)


def points_of(distribution: Distribution, dimensions: int) -> Tensor:
    """A few values (value, 1, dimensions) inside the support, in float32."""
    support = support_of(distribution)
    vectors = every_vector(torch.tensor([-3.0, 0.0, 0.2, 1.0, 2.0, 7.0]), dimensions)
    inside = vectors[within(support, vectors)].unsqueeze(1)
    if support.is_discrete or holds(support, *[0.3] * dimensions):
        return inside
    curve = nodes_of(distribution, dimensions)[0].float()
    return curve[len(curve) // 5 :: len(curve) // 7]


def expectation(distribution: Distribution, dimensions: int, f: Callable[[Tensor], Tensor]) -> Tensor:
    """E f(x) over a distribution of vectors with batch shape (1, batch); f maps (..., dimensions) to (..., k)."""
    nodes, weights = nodes_of(distribution, dimensions)
    mass = weights * distribution.log_prob(nodes).exp()
    return (mass.unsqueeze(-1) * f(nodes)).sum(0)
