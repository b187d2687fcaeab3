r"""Residual bijections, e -> z = e + something: planar and Sylvester flows, and reflections.

They are made to be drawn through. The way back, which a density at any value needs, solves one monotone equation in
one unknown at a time, :math:`s + r \tanh(c s + b) = t` with :math:`r c > -1`.

Sources: Rezende and Mohamed, 2015 (planar); Tomczak and Welling, 2016 (Householder); van den Berg et al., 2018
(Sylvester).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints
from torch.nn.functional import normalize, softplus

from vaekit.flows.bijection import Amortised, Bijection, require_sizes
from vaekit.flows.zukoflows import zuko

HALVINGS = 60
"""How often the bracket of a root is halved: to the last bit of a float64."""
LEAST_SLOPE = 1e-4
"""The smallest derivative of a residual map, which keeps its inverse defined."""
_SHIFT = math.log(math.expm1(1 - LEAST_SLOPE))


def solve(target: Tensor, gain: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    r"""The s with :math:`s + r \tanh(c s + b) = t`, by bisection, with its derivatives in t, r, c and b.

    The root lies within |r| of the target, and is the only one where r c > -1.

    >>> one = torch.ones(())
    >>> s = solve(one, gain=one, slope=one, shift=0 * one)
    >>> round(float(s + s.tanh()), 6)
    1.0
    """
    with torch.no_grad():
        root = _bisect(target, gain, slope, shift)
    bent = (slope * root + shift).tanh()
    derivative = 1 + gain * slope * (1 - bent.square())
    return root - (root + gain * bent - target) / derivative.detach()


def _bisect(target: Tensor, gain: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    low, high = target - gain.abs(), target + gain.abs()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = middle + gain * (slope * middle + shift).tanh() > target
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return (low + high) / 2


def above_minus_one(raw: Tensor) -> Tensor:
    """A number greater than -1 from any number; 0 from 0."""
    return softplus(raw + _SHIFT) - 1 + LEAST_SLOPE


class VectorTransform(Transform):
    """A bijection of real vectors."""

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True


class Reflections(VectorTransform):
    r"""A product of Householder reflections, :math:`z = (I - 2 v v^T / v^T v) e`: a rotation of any kind, ladj 0.

    Args:
        normals: the v of each, `(..., reflections, features)`.
    """

    def __init__(self, normals: Tensor) -> None:
        super().__init__()
        self.normals = normalize(normals, dim=-1).unbind(-2)

    def _call(self, x: Tensor) -> Tensor:
        return _reflected(x, self.normals)

    def _inverse(self, y: Tensor) -> Tensor:
        return _reflected(y, self.normals[::-1])

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Zero: a reflection keeps volumes."""
        return torch.zeros_like(x[..., 0])


def _reflected(x: Tensor, normals: Sequence[Tensor]) -> Tensor:
    for normal in normals:
        x = x - 2 * normal * (normal * x).sum(-1, keepdim=True)
    return x


class Planar(VectorTransform):
    r"""One bend along a direction: :math:`z = e + u \tanh(w^T e + b)`, u moved so that :math:`w^T u > -1`.

    Args:
        u, w: `(..., features)`.
        b: `(..., 1)`.
    """

    def __init__(self, u: Tensor, w: Tensor, b: Tensor) -> None:
        super().__init__()
        along = (w * u).sum(-1, keepdim=True)
        self.u = u + (above_minus_one(along) - along) * w / (w.square().sum(-1, keepdim=True) + 1e-12)
        self.wu = (w * self.u).sum(-1, keepdim=True)
        self.w, self.b = w, b

    def _bend(self, x: Tensor) -> Tensor:
        return (self._along(x) + self.b).tanh()

    def _along(self, x: Tensor) -> Tensor:
        return (self.w * x).sum(-1, keepdim=True)

    def _call(self, x: Tensor) -> Tensor:
        return x + self.u * self._bend(x)

    def _inverse(self, y: Tensor) -> Tensor:
        along = solve(self._along(y), self.wu, torch.ones_like(self.wu), self.b)
        return y - self.u * (along + self.b).tanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |1 + u^T w tanh'|."""
        return torch.log1p(self.wu * (1 - self._bend(x).square())).squeeze(-1)


class Triangular(VectorTransform):
    r"""As many bends as there are features: :math:`z = e + R \tanh(C e + b)`, R and C upper triangular.

    Args:
        upper: R above and C below the diagonal, `(..., features, features)`.
        gain, slope: the diagonals of R and C, with a product above -1, `(..., features)`.
        b: `(..., features)`.
    """

    def __init__(self, upper: Tensor, gain: Tensor, slope: Tensor, b: Tensor) -> None:
        super().__init__()
        self.outer = upper.triu(1) + torch.diag_embed(gain)
        self.inner = upper.mT.triu(1) + torch.diag_embed(slope)
        self.gain, self.slope, self.b = gain, slope, b

    def _bend(self, x: Tensor) -> Tensor:
        return (_times(self.inner, x) + self.b).tanh()

    def _call(self, x: Tensor) -> Tensor:
        return x + _times(self.outer, self._bend(x))

    def _inverse(self, y: Tensor) -> Tensor:
        """From the last coordinate to the first: each depends on those after it."""
        solved = torch.zeros_like(y)
        for d in reversed(range(y.shape[-1])):
            pushed = (self.outer[..., d, d + 1 :] * self._bend(solved)[..., d + 1 :]).sum(-1)
            shift = (self.inner[..., d, :] * solved).sum(-1) + self.b[..., d]
            root = solve(y[..., d] - pushed, self.gain[..., d], self.slope[..., d], shift)
            solved = torch.cat([solved[..., :d], root.unsqueeze(-1), solved[..., d + 1 :]], dim=-1)
        return solved

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum over coordinates of log |1 + r c tanh'|: the Jacobian is triangular."""
        return torch.log1p(self.gain * self.slope * (1 - self._bend(x).square())).sum(-1)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


class MakesReflections(nn.Module):
    """Answers with reflections whose normals are learned, or read off a context."""

    def __init__(self, features: int, context: int, reflections: int) -> None:
        super().__init__()
        self.shape = (reflections, features)
        self.normals = Amortised(reflections * features, context, spread=features**-0.5)

    def forward(self, context: Tensor | None) -> Reflections:
        """The reflections."""
        return Reflections(self.normals(context).unflatten(-1, self.shape))


class MakesPlanar(nn.Module):
    """Answers with a planar step whose parameters are learned, or read off a context."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.blocks = [features, features, 1]
        self.params = Amortised(sum(self.blocks), context)

    def forward(self, context: Tensor | None) -> Planar:
        """The step."""
        return Planar(*self.params(context).split(self.blocks, dim=-1))


class MakesTriangular(nn.Module):
    """Answers with a triangular step whose parameters are learned, or read off a context."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.blocks = [features**2, features, features, features]
        self.params = Amortised(sum(self.blocks), context)

    def forward(self, context: Tensor | None) -> Triangular:
        """The step; the diagonals are below 1 in size, so that their product stays above -1."""
        upper, gain, slope, b = self.params(context).split(self.blocks, dim=-1)
        features = self.blocks[1]
        limit = 1 - LEAST_SLOPE
        return Triangular(upper.unflatten(-1, (features, features)), limit * gain.tanh(), limit * slope.tanh(), b)


def householder(features: int, context: int = 0, *, steps: int = 4) -> Bijection:
    """Householder flow: reflections that turn independent coordinates into correlated ones.

    Source: Tomczak and Welling, 2016.

    >>> householder(3, context=8).features
    3
    """
    require_sizes(features, context)
    return Bijection(MakesReflections(features, context, steps), features, context).inv


def planar(features: int, context: int = 0, *, steps: int = 8) -> Bijection:
    """Planar flow: each step bends space along one direction.

    Source: Rezende and Mohamed, 2015.

    >>> planar(3, context=8).features
    3
    """
    require_sizes(features, context)
    return _through([MakesPlanar(features, context) for _ in range(steps)], features, context)


def sylvester(features: int, context: int = 0, *, steps: int = 4, reflections: int = 4) -> Bijection:
    """Sylvester flow: steps that bend all directions, in a frame that reflections turn for each of them.

    Source: van den Berg, Hasenclever, Tomczak and Welling, 2018.

    >>> sylvester(3, context=8).features
    3
    """
    require_sizes(features, context)
    pairs = [
        (MakesReflections(features, context, reflections), MakesTriangular(features, context)) for _ in range(steps)
    ]
    return _through([part for pair in pairs for part in pair], features, context)


def _through(steps: Sequence[nn.Module], features: int, context: int) -> Bijection:
    """Steps from the base to the latent, one after another, as a bijection to the base."""
    return Bijection(zuko.lazy.LazyComposedTransform(*steps), features, context).inv
