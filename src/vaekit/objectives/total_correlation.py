"""Total correlation: how far the coordinates of the aggregate posterior are from independent, from one batch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core.coordinates import coordinates
from vaekit.core.latent import LatentTerm
from vaekit.families.point import is_point
from vaekit.objectives.objective import OverBatch
from vaekit.objectives.penalty import LatentPenalty
from vaekit.objectives.schedules import Schedule


@dataclass(frozen=True)
class Aggregation(ABC):
    r"""How the posteriors of a batch stand for those of all N training examples.

    The aggregate posterior :math:`q(z) = \frac{1}{N} \sum_n q(z \mid x_n)` is estimated at a draw from example i as
    :math:`\sum_j w_{ij} q(z_i \mid x_j)` over the batch. Raises `UsageError` for no examples.
    """

    num_data: int
    """N, the number of training examples."""

    def __post_init__(self) -> None:
        if self.num_data < 1:
            raise UsageError(f"num_data is {self.num_data}: it is the number of training examples, at least 1")

    @abstractmethod
    def log_weights(self, batch: int) -> tuple[float, float]:
        """log w of an example's own posterior and of each other's, in a batch of this size."""


@dataclass(frozen=True)
class StratifiedSampling(Aggregation):
    r"""An example's own posterior counts 1/N, the others of the batch share the rest: unbiased for q(z).

    The weights of Chen et al. have the same mean, but single one of the others out.

    >>> own, other = StratifiedSampling(num_data=100).log_weights(batch=12)
    >>> round(math.exp(own) + 11 * math.exp(other), 12)
    1.0
    """

    def log_weights(self, batch: int) -> tuple[float, float]:
        if min(batch, self.num_data) == 1:
            return 0.0, -math.inf
        others = math.log(self.num_data - 1) - math.log(self.num_data) - math.log(batch - 1)
        return -math.log(self.num_data), others


@dataclass(frozen=True)
class WeightedSampling(Aggregation):
    """Every posterior of the batch, an example's own among them, counts 1 / (N batch): minibatch-weighted sampling.

    The weights add up to 1 / N, so that each log-density is too low by about log N, and the total correlation of D
    coordinates too high by about (D - 1) log N. In `Elbo() + TotalCorrelation(0)` it cancels; it has no gradient.
    """

    def log_weights(self, batch: int) -> tuple[float, float]:
        even = -math.log(self.num_data) - math.log(batch)
        return even, even


class TotalCorrelation(OverBatch, LatentPenalty):
    r"""The total correlation of the aggregate posterior, estimated from the batch.

    .. math:: TC = E_{q(z)} \log \frac{q(z)}{\prod_d q(z_d)}

    The KL of the ELBO is mutual information + TC + what the coordinates' own KL is. So a weight of beta - 1 on top of
    the TC that the ELBO holds makes the beta-TCVAE, `Elbo() + TotalCorrelation(beta - 1, num_data)`, and beta = 1 is
    the ELBO itself, whatever the estimate is worth. In few examples of a batch the estimate is too high, the more so
    the narrower the posteriors are; compare values only at equal batch size. Over several ranks the batch is each
    rank's share.

    Args:
        weight: beta - 1, a number or a `Schedule`.
        num_data: N, the number of training examples.
        latent: the name of the latent, whose posterior has independent coordinates.
        aggregation: `StratifiedSampling` or `WeightedSampling`.

    Source: Chen, Li, Grosse and Duvenaud, 2018.

    Raises `UsageError` for a posterior whose coordinates depend on each other, or that reads another draw.

    >>> from vaekit.core import Batch
    >>> from vaekit.objectives import Elbo, Step
    >>> from vaekit.recipes import build
    >>> objective, model = Elbo() + TotalCorrelation(5.0, num_data=60_000), build("vae", (6,), latent=2).model
    >>> objective(model, Batch(torch.rand(8, 6)), Step.first()).value.shape
    torch.Size([8])
    """

    notation = "TC(q({z}))"
    compares_pairs = True

    def __init__(
        self,
        weight: float | Schedule,
        num_data: int,
        latent: str = "z",
        aggregation: type[Aggregation] = StratifiedSampling,
    ) -> None:
        super().__init__(weight, latent)
        self.aggregation = aggregation(num_data)

    def loss(self, term: LatentTerm) -> Tensor:
        joint, marginals = aggregate_log_densities(term, self.aggregation)
        return (joint - marginals.sum(-1)).mean(0)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.aggregation}"


def aggregate_log_densities(term: LatentTerm, aggregation: Aggregation) -> tuple[Tensor, Tensor]:
    """log q(z), `(sample, batch)`, and log q(z_d), `(sample, batch, coordinate)`, of the draws of a latent."""
    samples, batch = term.value.shape[:2]
    pairs = pairwise_log_densities(term).unflatten(0, (samples, batch))  # (sample, batch i, batch j, coordinate)
    own, other = aggregation.log_weights(batch)
    weights = torch.full((batch, batch), other, dtype=pairs.dtype, device=pairs.device).fill_diagonal_(own)
    weighted = pairs + weights.unsqueeze(-1)
    return (pairs.sum(-1) + weights).logsumexp(-1), weighted.logsumexp(-2)


def pairwise_log_densities(term: LatentTerm) -> Tensor:
    """log q(z_d | x_j) of the draw from each example i, `(sample * batch i, batch j, coordinate)`."""
    posterior = None if term.drawn is None else coordinates(term.drawn.distribution)
    if posterior is None or posterior.batch_shape[0] != 1 or is_point(posterior):
        raise UsageError(
            "the total correlation is found of a posterior that reads x alone and has independent coordinates, "
            "as 'normal' has: take such a posterior"
        )
    each = term.value.flatten(0, 1).unsqueeze(1).unsqueeze(1)  # (sample * batch, 1, 1, *event)
    return posterior.log_prob(each).squeeze(1).flatten(2)
