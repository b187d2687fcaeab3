"""A posterior that is a point: the code of an autoencoder that is not variational."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, constraints
from torch.distributions.constraints import Constraint

from vaekit.core.density import Density
from vaekit.core.family import Family, over_event
from vaekit.core.notation import at
from vaekit.core.vae import VAE

NONE = Size()


class Delta(Family):
    r"""All the mass on the encoder's output, :math:`q(z \mid x) = \delta(z - f(x))`.

    `log_prob` is the logarithm of the mass on a value, 0 at the point: no density. So a model with such a posterior has
    no KL and no ELBO (log p(x, z) at the code is no bound of log p(x)), and no draw is a proposal to estimate log p(x)
    from. What can be told of it is the log-likelihood of the reconstruction, log p(x | z).

    >>> posterior = Delta()(torch.tensor([[[0.3, -1.0]]]))
    >>> posterior.rsample(), posterior.log_prob(posterior.rsample())
    (tensor([[[ 0.3000, -1.0000]]]), tensor([[0.]]))
    """

    def width(self, event_shape: Size) -> int:
        return event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        return over_event(PointMass(params))

    def written(self, reads: str) -> str:
        return f"δ({at('μ', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.real

    def density(self, x: Tensor) -> Density:
        return Density("codes", "point mass", is_likelihood=False)


class PointMass(Distribution):
    """The mass 1 on one value.

    >>> PointMass(torch.tensor(2.0)).log_prob(torch.tensor([2.0, 2.1]))
    tensor([0., -inf])
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape, validate_args=False)

    def expand(self, batch_shape: Size, _instance: None = None) -> PointMass:  # type: ignore[override]
        """The same point for more."""
        return PointMass(self.loc.expand(batch_shape))

    @property
    def mean(self) -> Tensor:
        """The point."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """0."""
        return torch.zeros_like(self.loc)

    def entropy(self) -> Tensor:
        """0."""
        return torch.zeros_like(self.loc)

    def log_prob(self, value: Tensor) -> Tensor:
        """0 at the point, -inf elsewhere."""
        return torch.where(value == self.loc, 0.0, -torch.inf).to(self.loc.dtype)

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """The point, with its gradient."""
        return self.loc.expand(self._extended_shape(Size(sample_shape)))


def is_point(distribution: Distribution) -> bool:
    """Whether a distribution is a point, or made of independent ones.

    >>> is_point(Delta()(torch.zeros(1, 1, 2)))
    True
    """
    return isinstance(distribution.base_dist if isinstance(distribution, Independent) else distribution, PointMass)


def point_latents(model: VAE) -> tuple[str, ...]:
    """The latents whose posterior is a point: the model has no ELBO then, and no evidence that could be estimated.

    >>> from vaekit.recipes import build
    >>> [point_latents(build(recipe, (6,)).model) for recipe in ("vae", "ae")]
    [(), ('z',)]
    """
    return tuple(name for name, latent in model.latents() if _has_point(latent.posterior))


def _has_point(posterior: nn.Module) -> bool:
    return any(isinstance(part, Delta) for part in posterior.modules())
