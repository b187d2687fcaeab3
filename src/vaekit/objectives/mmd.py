"""Maximum mean discrepancy between the aggregate posterior and the prior, by kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core.latent import LatentTerm, draw
from vaekit.objectives.objective import OverBatch
from vaekit.objectives.penalty import LatentPenalty
from vaekit.objectives.schedules import Schedule

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Kernel(Protocol):
    """A positive definite function of two vectors."""

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """k(a, b) of every pair, `(..., n, d)` and `(..., m, d)` to `(..., n, m)`."""


@dataclass(frozen=True)
class GaussianKernel(Kernel):
    r"""A mean of Gaussian kernels, :math:`\exp(-\|a - b\|^2 / (2 d \ell^2))` of d coordinates, over a few lengths.

    >>> float(GaussianKernel()(torch.zeros(1, 2), torch.zeros(1, 2)))
    1.0
    """

    lengths: tuple[float, ...] = SCALES

    def __post_init__(self) -> None:
        _check("lengths", self.lengths)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        squares = squared_distances(a, b) / (2 * a.shape[-1])
        return torch.stack([(-squares / length**2).exp() for length in self.lengths]).mean(0)


@dataclass(frozen=True)
class InverseMultiquadric(Kernel):
    r"""A mean of inverse multiquadrics, :math:`c / (c + \|a - b\|^2)` with c = 2 d s of d coordinates, over scales s.

    Its tails are heavy, so codes far from the prior feel it too. Source: Tolstikhin et al., 2018.

    >>> float(InverseMultiquadric()(torch.zeros(1, 2), torch.zeros(1, 2)))
    1.0
    """

    scales: tuple[float, ...] = SCALES

    def __post_init__(self) -> None:
        _check("scales", self.scales)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        squares = squared_distances(a, b) / (2 * a.shape[-1])
        return torch.stack([scale / (scale + squares) for scale in self.scales]).mean(0)


def _check(name: str, values: tuple[float, ...]) -> None:
    if not values or not min(values) > 0:
        raise UsageError(f"{name} = {values}: a kernel needs at least one, and each positive")


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances of all pairs, `(..., n, d)` and `(..., m, d)` to `(..., n, m)`.

    >>> squared_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([[25.]])
    """
    return (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1)


def mmd_squared(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    r"""The unbiased estimate of :math:`MMD^2 = E k(a, a') + E k(b, b') - 2 E k(a, b)`; near 0 it may be negative.

    From draws `(..., n, d)` and `(..., m, d)` to `(...)`. Source: Gretton et al., 2012.

    >>> a, b = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [1.0]])
    >>> float(mmd_squared(a, b, lambda a, b: a @ b.mT))
    -1.0
    """
    return _of_pairs(kernel(a, a)) + _of_pairs(kernel(b, b)) - 2 * kernel(a, b).mean((-2, -1))


def _of_pairs(values: Tensor) -> Tensor:
    """The mean over pairs of two different draws; 0 where there is but one draw."""
    n = values.shape[-1]
    return (values.sum((-2, -1)) - values.diagonal(dim1=-2, dim2=-1).sum(-1)) / max(n * (n - 1), 1)


class Mmd(OverBatch, LatentPenalty):
    r"""The squared MMD of the aggregate posterior from the prior: an unbiased estimate, from the draws of a batch.

    With `Elbo(beta=0)` and a posterior that is a point it makes the Wasserstein autoencoder, with `Elbo(beta)` the
    InfoVAE, whose alpha and lambda are `beta = 1 - alpha` and `weight = alpha + lambda - 1`. Over several ranks the
    batch is each rank's share, of which the estimate is unbiased too.

    Args:
        weight: of the squared MMD, which lies within [0, 2] here: it is large beside nats.
        kernel: `GaussianKernel` or `InverseMultiquadric`.
        latent: the name of the latent.

    Sources: Zhao, Song and Ermon, 2019 (InfoVAE); Tolstikhin et al., 2018 (WAE-MMD).

    >>> from vaekit.objectives import Elbo
    >>> infovae = Elbo(beta=0.0) + Mmd(weight=1000.0)
    >>> infovae.is_bound
    False
    """

    notation = "MMD²(q({z}), p({z}))"
    compares_pairs = True

    def __init__(self, weight: float | Schedule = 1.0, kernel: Kernel | None = None, latent: str = "z") -> None:
        super().__init__(weight, latent)
        self.kernel = InverseMultiquadric() if kernel is None else kernel

    def loss(self, term: LatentTerm) -> Tensor:
        samples, batch = term.value.shape[:2]
        prior = draw(term.prior, (samples, batch)).value
        return mmd_squared(term.value.flatten(2), prior.flatten(2), self.kernel).mean()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.kernel}"
