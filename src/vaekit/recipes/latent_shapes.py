"""VAEs whose latents are not independent normals: correlated, on a sphere, on a simplex."""

from __future__ import annotations

from vaekit.core import VAE, Latent
from vaekit.families import LowRankNormal
from vaekit.objectives import Elbo
from vaekit.priors import dirichlet
from vaekit.recipes.classic import one_latent
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe


@recipe("a posterior with a few directions of correlation", "Rezende, Mohamed and Wierstra", 2014)
def low_rank_vae(parts: Parts, rank: int = 4) -> Recipe:
    """The VAE with a normal posterior of low rank beside its diagonal."""
    z = Latent(parts.prior(), parts.encoder(family=LowRankNormal(rank)))
    return Recipe(VAE(parts.decoder(), z=z), Elbo())


@recipe(
    "directions as latents: von Mises-Fisher, or posterior=power_spherical",
    "Davidson et al.",
    2018,
    posterior="von_mises_fisher",
    prior="sphere_uniform",
)
def hyperspherical_vae(parts: Parts) -> Recipe:
    """The hyperspherical VAE."""
    return Recipe(one_latent(parts), Elbo())


@recipe("proportions as latents", "Joo, Lee, Park and Moon", 2020, posterior="dirichlet", latent=50)
def dirichlet_vae(parts: Parts, alpha: float = 0.98) -> Recipe:
    """The Dirichlet VAE."""
    return Recipe(VAE(parts.decoder(), z=Latent(dirichlet(parts.latent_shape, alpha), parts.encoder())), Elbo())
