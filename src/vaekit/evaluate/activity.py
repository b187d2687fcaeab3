"""Which latent coordinates a model uses."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

ACTIVE = 0.01
"""The variance of a coordinate's posterior mean over data above which it counts as active."""


@dataclass(frozen=True)
class Activity:
    """The use of one latent's coordinates, each `(coordinate,)`."""

    variance: Tensor
    """Variance over the data of the posterior mean."""

    @property
    def active(self) -> Tensor:
        """Whether each coordinate is active."""
        return self.variance > ACTIVE

    @property
    def units(self) -> int:
        """How many coordinates are active."""
        return int(self.active.sum())

    @property
    def ranking(self) -> list[int]:
        """The coordinates, the most active first."""
        return [int(index) for index in self.variance.argsort(descending=True)]


def activity(means: Tensor) -> Activity:
    r"""Activity from the posterior means of many examples: :math:`Var_x(E_q[z_d])` against 0.01.

    Args:
        means: `(example, *event)`.

    Source: Burda, Grosse and Salakhutdinov, 2016.

    >>> import torch
    >>> activity(torch.tensor([[0.0, 1.0], [0.0, -1.0]])).units
    1
    """
    unbiased = min(1, len(means) - 1)  # the variance of a single example is 0, not NaN
    return Activity(means.flatten(1).double().var(0, correction=unbiased))
