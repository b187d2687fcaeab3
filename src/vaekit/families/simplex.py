"""Proportions: points of the simplex, by the Dirichlet family."""

from __future__ import annotations

from torch import Size, Tensor
from torch.distributions import Dirichlet as TorchDirichlet
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import at
from vaekit.families.positions import over_positions, vectors_last
from vaekit.families.scale import positive


class Dirichlet(Family):
    r"""Proportions that sum to 1, :math:`p(x) \propto \prod_d x_d^{\alpha_d - 1}`.

    Parameters are alpha before `positive`. `floor` is added to every alpha: of a smaller one, most proportions would be
    too small for a float. With further axes the event holds proportions of its own at each position, `(D, *positions)`.
    As is usual, the density is one of all coordinates but the last.

    Sources: Joo, Lee, Park and Moon, 2020 (Dirichlet VAE); Figurnov, Mohamed and Mnih, 2018 (implicit gradients).

    Raises `UsageError` for an event of fewer than 2 coordinates.

    >>> import torch
    >>> draws = Dirichlet()(torch.zeros(1, 5, 10)).rsample()
    >>> draws.shape, torch.allclose(draws.sum(-1), torch.ones(1, 5))
    (torch.Size([1, 5, 10]), True)
    """

    over_vectors = True
    floor = 0.02

    def width(self, event_shape: Size) -> int:
        if event_shape[0] < 2:
            raise UsageError(f"there are at least 2 proportions, not an event of shape {tuple(event_shape)}")
        return event_shape[0]

    def forward(self, params: Tensor) -> Distribution:
        return over_positions(TorchDirichlet(positive(vectors_last(params)) + self.floor, validate_args=False))

    def written(self, reads: str) -> str:
        return f"Dirichlet({at('α', reads)})"

    @property
    def support(self) -> Constraint:
        return constraints.simplex

    def density(self, x: Tensor) -> Density:
        return Density("proportions that sum to 1", "probability density")
