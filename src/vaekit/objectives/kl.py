"""The KL divergence of a latent's posterior from its prior: in closed form where there is one, else from samples."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vaekit.core.coordinates import coordinates
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
