"""KL divergences in closed form that torch does not know, registered with `torch.distributions.kl`.

Importing `vaekit.families` is enough for `kl_divergence` to find them. Those of directions are in `sphere`, those of
relaxed draws in `relaxed`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Gamma, Independent, MultivariateNormal, Normal, kl_divergence

from vaekit.families.categorical import OneHotDistribution
from vaekit.families.closed_form import kl_of
from vaekit.families.continuous import BetaDistribution, GammaDistribution
from vaekit.families.low_rank import LowRankNormalDistribution


@kl_of(MultivariateNormal, Independent)
def _full_from_diagonal(p: MultivariateNormal, q: Independent[Distribution]) -> Tensor:
    scale_tril = p.scale_tril
    log_determinant = 2 * scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return _normals(p.loc, scale_tril.square().sum(-1), log_determinant, q)


@kl_of(LowRankNormalDistribution, Independent)
def _low_rank_from_diagonal(p: LowRankNormalDistribution, q: Independent[Distribution]) -> Tensor:
    return _normals(p.loc, p.variance, p.log_determinant, q)


def _normals(loc: Tensor, variance: Tensor, log_determinant: Tensor, q: Independent[Distribution]) -> Tensor:
    """From a normal by its mean, the diagonal and the log-determinant of its covariance, to independent ones."""
    base = q.base_dist
    if not isinstance(base, Normal) or len(q.event_shape) != 1:
        raise NotImplementedError
    expected = (variance + (loc - base.loc).square()) / base.scale.square()
    return 0.5 * ((expected - 1 + 2 * base.scale.log()).sum(-1) - log_determinant)


@kl_of(OneHotDistribution, OneHotDistribution)
def _one_hot(p: OneHotDistribution, q: OneHotDistribution) -> Tensor:
    ours, theirs = (each.logits.log_softmax(-each.axes) for each in (p, q))
    return (ours.exp() * (ours - theirs)).flatten(-p.axes).sum(-1)


@kl_of(GammaDistribution, Gamma)
def _gamma(p: GammaDistribution, q: Gamma) -> Tensor:
    mean, shape = p.params
    return torch.as_tensor(kl_divergence(Gamma(shape, shape / mean, validate_args=False), q))


@kl_of(BetaDistribution, torch.distributions.Beta)
def _beta(p: BetaDistribution, q: torch.distributions.Beta) -> Tensor:
    mean, rest, total = p.params
    ours = torch.distributions.Beta(mean * total, rest * total, validate_args=False)
    return torch.as_tensor(kl_divergence(ours, q))
