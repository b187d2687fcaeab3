"""Normals whose covariance is of low rank, but for a diagonal."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import at
from vaekit.families.normal import CONTINUOUS
from vaekit.families.scale import positive

NONE = Size()
LIMIT = 100.0
"""How large a shared direction may be beside sigma, for the covariance to be inverted in float32."""


class LowRankNormal(Family):
    r"""A normal over a vector with covariance :math:`W W^\top + \mathrm{diag}(\sigma^2)`, W of `rank` columns.

    Parameters: the mean (D), sigma before `positive` (D), and the columns of :math:`W / \sigma` (rank x D), softly
    limited to 100 in size. Its cost is linear in D.

    Raises `UsageError` for a rank below 1 and for an event that is not a vector.

    >>> LowRankNormal(rank=3).width(Size((20,)))
    100
    """

    def __init__(self, rank: int = 4) -> None:
        super().__init__()
        if rank < 1:
            raise UsageError(f"a covariance of rank {rank} beside its diagonal: choose 1 or more")
        self.rank = rank

    def width(self, event_shape: Size) -> int:
        if len(event_shape) != 1:
            raise UsageError(f"a covariance needs a vector, not an event of shape {tuple(event_shape)}")
        return (2 + self.rank) * event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        loc, raw, *columns = params.chunk(2 + self.rank, dim=-1)
        scale, relative = positive(raw), LIMIT * torch.tanh(torch.stack(columns, dim=-1) / LIMIT)
        return LowRankNormalDistribution(loc, scale, scale.unsqueeze(-1) * relative)

    def written(self, reads: str) -> str:
        return f"N({at('μ', reads)}, diag {at('σ', reads)}² + {at('U', reads)} {at('U', reads)}ᵀ)"

    @property
    def support(self) -> Constraint:
        return constraints.real_vector

    def density(self, x: Tensor) -> Density:
        return CONTINUOUS

    def extra_repr(self) -> str:
        return f"rank={self.rank}"


class LowRankNormalDistribution(Distribution):
    r"""A normal with covariance :math:`W W^\top + \mathrm{diag}(\sigma^2)`.

    What Woodbury's identity has as a difference of large numbers is here the smallest of a sum of squares,
    :math:`(x - \mu)^\top \Sigma^{-1} (x - \mu) = \min_e |A e - u|^2 + |e|^2` with :math:`A = W / \sigma` and
    :math:`u = (x - \mu) / \sigma`: it keeps its digits in float32,
    where torch's own loses tens of nats as soon as W is large beside sigma.

    Args:
        loc, scale: mean and sigma, `(*batch, D)`.
        factor: W, `(*batch, D, rank)`.

    >>> x = torch.tensor([[1.0, -1.0]])
    >>> ours = LowRankNormalDistribution(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2, 1))
    >>> theirs = torch.distributions.MultivariateNormal(torch.zeros(2), torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
    >>> torch.allclose(ours.log_prob(x), theirs.log_prob(x))
    True
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, factor: Tensor) -> None:
        self.loc, self.scale, self.factor = loc, scale, factor
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Size, _instance: None = None) -> LowRankNormalDistribution:  # type: ignore[override]
        """The same distribution with its parameters broadcast."""
        loc, scale = (each.expand(*batch_shape, -1) for each in (self.loc, self.scale))
        return LowRankNormalDistribution(loc, scale, self.factor.expand(*batch_shape, -1, -1))

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return self.scale.square() + self.factor.square().sum(-1)

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance, `(*batch, D, D)`."""
        return self.factor @ self.factor.mT + self.scale.square().diag_embed()

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """loc + W e + sigma noise."""
        shape = self._extended_shape(Size(sample_shape))
        shared = torch.randn(*shape[:-1], self.factor.shape[-1], 1, dtype=self.loc.dtype, device=self.loc.device)
        own = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self.factor @ shared).squeeze(-1) + self.scale * own

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value)."""
        whitened, root = self._factored()
        u = ((value - self.loc) / self.scale).unsqueeze(-1)
        e = torch.cholesky_solve(whitened.mT @ u, root)
        e = e + torch.cholesky_solve(whitened.mT @ (u - whitened @ e) - e, root)  # one refinement, for float32
        distance = (u - whitened @ e).square().sum((-2, -1)) + e.square().sum((-2, -1))
        return -0.5 * (distance + self.log_determinant + value.shape[-1] * math.log(2 * math.pi))

    def entropy(self) -> Tensor:
        """The entropy."""
        return 0.5 * (self.log_determinant + self.loc.shape[-1] * (1 + math.log(2 * math.pi)))

    @property
    def log_determinant(self) -> Tensor:
        """That of the covariance, `(*batch)`."""
        _, root = self._factored()
        return 2 * self.scale.log().sum(-1) + 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def _factored(self) -> tuple[Tensor, Tensor]:
        """A, and the Cholesky factor of I + A' A."""
        whitened = self.factor / self.scale.unsqueeze(-1)
        identity = torch.eye(self.factor.shape[-1], dtype=self.loc.dtype, device=self.loc.device)
        return whitened, torch.linalg.cholesky(identity + whitened.mT @ whitened)
