"""Priors that learn: mixtures, pseudo-inputs, exemplars, flows and relevance."""

from __future__ import annotations

from collections.abc import Mapping

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Conditional, Deterministic, Latent
from vaekit.objectives import Elbo
from vaekit.priors import ExemplarPrior, LearnedMixture, Nearest
from vaekit.priors.vamp import NO_NODES, waiting_vamp
from vaekit.recipes.classic import one_latent
from vaekit.recipes.parts import Architecture, Parts
from vaekit.recipes.registry import Recipe, recipe


def own(parts: Parts, prior: Conditional) -> Conditional:
    """A recipe's own prior; one that was chosen beside it is refused, not passed over."""
    chosen = parts.architecture.prior
    if chosen != Architecture.prior:
        raise UsageError(f"this recipe has a prior of its own: leave out prior={chosen!r}, or take the recipe 'vae'")
    return prior


def vamp(
    parts: Parts, encoder: Conditional, pseudo_inputs: int, nodes: Mapping[str, Deterministic] = NO_NODES
) -> Conditional:
    """A VampPrior of so many pseudo-inputs over a latent that the encoder infers, in the place of the chosen prior."""
    if not parts.form.smooth:
        raise UsageError(
            "a VampPrior learns rows to look at, and rows with levels or missing cells cannot be learned: "
            "take the recipe 'exemplar_vae', which looks at rows of the data"
        )
    return own(parts, waiting_vamp(encoder, pseudo_inputs, parts.event_shape, parts.support, nodes))


@recipe("a prior that mixes normals, all of them learned", "Nalisnick, Hertel and Smyth", 2016)
def mixture_prior_vae(parts: Parts, components: int = 50) -> Recipe:
    """The VAE with a mixture of normals for its prior.

    Args:
        components: normals in the prior.
    """
    prior = own(parts, LearnedMixture(parts.latent_shape, components))
    return Recipe(VAE(parts.decoder(), z=Latent(prior, parts.encoder())), Elbo())


@recipe("a prior that mixes the posteriors of learned inputs", "Tomczak and Welling", 2018, latent=40, net="gated")
def vamp_vae(parts: Parts, pseudo_inputs: int = 500) -> Recipe:
    """The VAE with a VampPrior.

    Args:
        pseudo_inputs: learned rows whose posteriors the prior mixes.
    """
    encoder, decoder = parts.encoder(), parts.decoder()
    return Recipe(VAE(decoder, z=Latent(vamp(parts, encoder, pseudo_inputs), encoder)), Elbo())


@recipe("a prior with a component at each training row", "Norouzi, Fleet and Norouzi", 2020, latent=40, net="gated")
def exemplar_vae(parts: Parts, neighbours: int = 10) -> Recipe:
    """The exemplar VAE.

    Args:
        neighbours: training rows near a code that its prior is estimated from.
    """
    encoder = parts.encoder()
    prior = own(parts, ExemplarPrior(encoder, parts.latent_shape, Nearest(neighbours)))
    return Recipe(VAE(parts.decoder(), z=Latent(prior, encoder)), Elbo())


@recipe("a prior that a normalising flow learns", "Chen et al.", 2017, prior="maf")
def flow_prior_vae(parts: Parts) -> Recipe:
    """The VAE with a flow for its prior."""
    return Recipe(one_latent(parts), Elbo())


@recipe("a learned scale for each latent, which tells the superfluous", "Saha, Joshi and Whitaker", 2025, prior="ard")
def ard_vae(parts: Parts) -> Recipe:
    """The VAE with automatic relevance determination."""
    return Recipe(one_latent(parts), Elbo())
