"""Moment matching: the covariance of the aggregate posterior is pressed towards the identity."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD
from vaekit.core.coordinates import coordinates
from vaekit.core.latent import LatentTerm
from vaekit.families.point import PointMass
from vaekit.families.quantize import Point
from vaekit.objectives.objective import OverBatch
from vaekit.objectives.penalty import LatentPenalty
from vaekit.objectives.schedules import Schedule

SURE = (PointMass, Point)
"""Distributions of one value, which vary in no coordinate."""


class CovarianceMatch(OverBatch, LatentPenalty):
    r"""The squared distance of a covariance over the data from the identity.

    Found from the batch; over several ranks, from each rank's share of it.

    .. math:: \lambda \sum_{i \ne j} C_{ij}^2 + \lambda \, r \sum_i (C_{ii} - 1)^2

    Args:
        weight: lambda, of the entries off the diagonal.
        diagonal: r, the weight of the diagonal in units of lambda.
        latent: the name of the latent.

    Source: Kumar, Sattigeri and Balakrishnan, 2018. Raises `UsageError` for a negative `diagonal`.
    """

    def __init__(self, weight: float | Schedule = 10.0, diagonal: float = 10.0, latent: str = "z") -> None:
        super().__init__(weight, latent)
        if not diagonal >= 0:
            raise UsageError(f"the diagonal's weight is {diagonal}: choose 0 or more")
        self.diagonal = diagonal

    @abstractmethod
    def covariance(self, posterior: Distribution) -> Tensor:
        """The covariance to be matched, `(coordinate, coordinate)`, from the posteriors of a batch."""

    def loss(self, term: LatentTerm) -> Tensor:
        if term.drawn is None:
            return term.value.new_zeros(())
        covariance = self.covariance(term.drawn.distribution)
        squared = (covariance - torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)).square()
        on_diagonal = squared.diagonal().sum()
        return squared.sum() - on_diagonal + self.diagonal * on_diagonal


class DipI(CovarianceMatch):
    """The covariance of the posterior means over the data.

    >>> DipI(weight=10.0, diagonal=10.0)
    DipI(weight=Constant(value=10.0, steps=1), latent='z')
    """

    notation = "‖Cov E_q[{z}] − I‖²"

    def covariance(self, posterior: Distribution) -> Tensor:
        return covariance_of_means(posterior)


class DipII(CovarianceMatch):
    """The covariance of the aggregate posterior: that of the means, and the mean of the posteriors' own.

    Raises `UsageError` for a posterior whose own covariance is not known, as on a sphere.

    >>> DipII(weight=10.0, diagonal=10.0)
    DipII(weight=Constant(value=10.0, steps=1), latent='z')
    """

    notation = "‖Cov_q({z}) − I‖²"

    def covariance(self, posterior: Distribution) -> Tensor:
        return covariance_of_means(posterior) + mean_covariance(posterior)


def covariance_of_means(posterior: Distribution) -> Tensor:
    """The unbiased covariance of the posterior means of a batch, `(coordinate, coordinate)`."""
    means: Tensor = posterior.mean.flatten(0, 1).flatten(1)
    covariance: Tensor = means.mT.cov(correction=min(1, len(means) - 1))
    return covariance.reshape(means.shape[1], -1)


def mean_covariance(posterior: Distribution) -> Tensor:
    """The mean over a batch of the posteriors' covariances, `(coordinate, coordinate)`.

    Raises `UsageError` for a posterior whose coordinates depend on each other in a way that it does not tell.
    """
    told: Tensor | None = getattr(posterior, "covariance_matrix", None)
    if told is not None:
        return told.flatten(0, 1).mean(0)
    if coordinates(posterior) is None and not isinstance(posterior, SURE):
        raise UsageError(
            f"the coordinates of a {type(posterior).__name__} depend on each other, and their covariance is not known: "
            "use DipI, or a normal posterior"
        )
    variances: Tensor = posterior.variance.flatten(LEAD).flatten(0, 1)
    return variances.mean(0).diag_embed()
