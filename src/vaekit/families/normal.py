"""Normal families: independent coordinates with a choice of scale, and full covariance."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, MultivariateNormal, constraints
from torch.distributions import Normal as NormalDistribution
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.density import Density
from vaekit.core.family import Family, over_event
from vaekit.core.notation import at
from vaekit.families.scale import Predicted, Scale, positive

CONTINUOUS = Density("real values", "probability density")


class Normal(Family):
    r"""Independent normals, :math:`\prod_d N(x_d; \mu_d, \sigma_d^2)`; scale `Predicted`, `Learned` or `Known`.

    >>> family = Normal()
    >>> family.width(Size((20,)))
    40
    >>> family(torch.zeros(1, 3, 40)).stddev.mean()
    tensor(1.)
    """

    def __init__(self, scale: Scale | None = None) -> None:
        super().__init__()
        self.scale = Predicted() if scale is None else scale

    def width(self, event_shape: Size) -> int:
        return self.scale.blocks * event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        loc, scale = self.scale(params)
        return over_event(NormalDistribution(loc, scale, validate_args=False))

    def written(self, reads: str) -> str:
        variance = f"{self.scale.named('σ', reads)}²"
        spread = f"{variance} I" if self.scale.shared else f"diag {variance}"
        return f"N({at('μ', reads)}, {spread})"

    @property
    def support(self) -> Constraint:
        return constraints.real

    def density(self, x: Tensor) -> Density:
        return CONTINUOUS


class FullNormal(Family):
    r"""A normal with full covariance over a vector, :math:`N(x; \mu, L L^T)`, L lower triangular.

    Parameters: the mean (D), the diagonal of L before `positive` (D), and L below its diagonal (D (D - 1) / 2).

    Raises `UsageError` for an event that is not a vector.

    >>> FullNormal().width(Size((3,)))
    9
    """

    def width(self, event_shape: Size) -> int:
        if len(event_shape) != 1:
            raise UsageError(f"a full covariance needs a vector, not an event of shape {tuple(event_shape)}")
        dimensions = event_shape[0]
        return dimensions * (dimensions + 3) // 2

    def forward(self, params: Tensor) -> Distribution:
        dimensions = self._dimensions(params.shape[-1])
        below = dimensions * (dimensions - 1) // 2
        loc, raw, off_diagonal = params.split([dimensions, dimensions, below], dim=-1)
        row, column = torch.tril_indices(dimensions, dimensions, -1, device=params.device)
        scale_tril = torch.diag_embed(positive(raw))
        scale_tril[..., row, column] = off_diagonal
        return MultivariateNormal(loc, scale_tril=scale_tril, validate_args=False)

    @staticmethod
    def _dimensions(width: int) -> int:
        return int((9 + 8 * width) ** 0.5 - 3) // 2

    def written(self, reads: str) -> str:
        return f"N({at('μ', reads)}, {at('L', reads)} {at('L', reads)}ᵀ)"

    @property
    def support(self) -> Constraint:
        return constraints.real_vector

    def density(self, x: Tensor) -> Density:
        return CONTINUOUS
