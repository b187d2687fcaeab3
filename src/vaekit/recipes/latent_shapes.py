"""VAEs whose latents are not independent normals: correlated, on a sphere, on a simplex."""

from __future__ import annotations

from vaekit.core import VAE, Deterministic, Latent
from vaekit.families import LowRankNormal
from vaekit.nets.scale import UnitScale
from vaekit.objectives import Elbo
from vaekit.priors import dirichlet
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe


def at_unit_scale(parts: Parts, z: Latent, mean: float, spread: float) -> VAE:
    """A VAE whose decoder reads its latent less its prior's mean, over its prior's spread.

    Coordinates of a direction, proportions and one-hot classes are small where there are many of them, and a decoder
    that reads them as they are learns many times slower.
    """
    return VAE(parts.decoder({"s": parts.latent_shape}), z=z, s=Deterministic(UnitScale(mean, spread), "z"))


@recipe("a posterior with a few directions of correlation", "Rezende, Mohamed and Wierstra", 2014)
def low_rank_vae(parts: Parts, rank: int = 4) -> Recipe:
    """The VAE with a normal posterior of low rank beside its diagonal.

    Args:
        rank: how many directions of correlation there are.
    """
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
    z = Latent(parts.prior(), parts.encoder())
    return Recipe(at_unit_scale(parts, z, mean=0.0, spread=parts.architecture.latent**-0.5), Elbo())


@recipe("proportions as latents", "Joo, Lee, Park and Moon", 2020, posterior="dirichlet", latent=50)
def dirichlet_vae(parts: Parts, alpha: float = 0.98) -> Recipe:
    """The Dirichlet VAE.

    Args:
        alpha: concentration of the prior; below 1 most proportions are near 0.
    """
    share, z = 1 / parts.architecture.latent, Latent(dirichlet(parts.latent_shape, alpha), parts.encoder())
    return Recipe(at_unit_scale(parts, z, mean=share, spread=share), Elbo())
