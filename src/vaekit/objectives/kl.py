"""The KL divergence of a latent's posterior from its prior: in closed form where there is one, else from samples."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from vaekit.core.context import LEAD
from vaekit.core.latent import LatentTerm

KL = Callable[[LatentTerm], Tensor]
"""From the term a latent left to its KL, `(sample or 1, batch)`."""


def sampled_kl(term: LatentTerm) -> Tensor:
    """log q(z | x) - log p(z) at the drawn z: unbiased, whatever the distributions."""
    return term.kl


def analytic_kl(term: LatentTerm) -> Tensor:
    """KL(q || p) in closed form where torch has one for the pair, else from the samples.

    A latent that was clamped has no posterior; its term is -log p(z). Where the prior depends on the draw itself, as
    p(z1 | z2) does when z2 was inferred from z1, a closed form would be another number: the draw is used.
    """
    if term.drawn is None or term.prior_knows_draw:
        return term.kl
    try:
        return kl_divergence(term.drawn.distribution, term.prior)
    except NotImplementedError:
        return sampled_kl(term)


def coordinate_kl(term: LatentTerm) -> Tensor:
    """The KL of each coordinate, `(sample or 1, batch, *event)`, where the coordinates are independent.

    A latent whose coordinates hang together has one KL in all, `(sample or 1, batch, 1)`.
    """
    if term.drawn is None:
        return term.kl.unsqueeze(-1)
    posterior, prior = coordinates(term.drawn.distribution), coordinates(term.prior)
    if posterior is None or prior is None:
        return analytic_kl(term).unsqueeze(-1)
    if term.prior_knows_draw:
        return _drawn_kl(term, posterior, prior)
    try:
        return kl_divergence(posterior, prior)
    except NotImplementedError:
        return _drawn_kl(term, posterior, prior)


def _drawn_kl(term: LatentTerm, posterior: Distribution, prior: Distribution) -> Tensor:
    return posterior.log_prob(term.value) - prior.log_prob(term.value)


def coordinates(distribution: Distribution) -> Distribution | None:
    """The coordinates of a distribution whose event is made of independent ones, else None.

    >>> import torch
    >>> from torch.distributions import MultivariateNormal, Normal
    >>> coordinates(Independent(Normal(torch.zeros(1, 1, 3), 1.0), 1))
    Normal(loc: torch.Size([1, 1, 3]), scale: torch.Size([1, 1, 3]))
    >>> coordinates(MultivariateNormal(torch.zeros(3), torch.eye(3))) is None
    True
    """
    if not isinstance(distribution, Independent):
        return None
    base = distribution.base_dist
    return base if not base.event_shape else None


def over_coordinates(per_coordinate: Tensor) -> Tensor:
    """The sum over an event's coordinates, `(sample, batch)`."""
    return per_coordinate.flatten(LEAD).sum(LEAD)
