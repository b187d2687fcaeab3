"""Tighter bounds from many draws, and better gradients from the same ones."""

from __future__ import annotations

from vaekit.objectives import Ciwae, DoublyReparameterised, Iwae, Miwae, Piwae, Renyi, StickTheLanding
from vaekit.recipes.classic import one_latent
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe


@recipe("a tighter bound from many draws", "Burda, Grosse and Salakhutdinov", 2016)
def iwae(parts: Parts, samples: int = 50) -> Recipe:
    """The importance-weighted autoencoder.

    Args:
        samples: draws of the latents for each row.
    """
    return Recipe(one_latent(parts), Iwae(samples))


@recipe("several importance-weighted bounds, averaged", "Rainforth et al.", 2018)
def miwae(parts: Parts, samples: int = 8, groups: int = 8) -> Recipe:
    """The VAE trained by MIWAE.

    Args:
        samples: draws in each of the bounds.
        groups: how many bounds.
    """
    return Recipe(one_latent(parts), Miwae(samples, groups))


@recipe("the decoder follows IWAE, the encoder MIWAE", "Rainforth et al.", 2018)
def piwae(parts: Parts, samples: int = 8, groups: int = 8) -> Recipe:
    """The VAE trained by PIWAE.

    Args:
        samples: draws in each of the encoder's bounds.
        groups: how many of them.
    """
    return Recipe(one_latent(parts), Piwae(samples, groups))


@recipe("part ELBO, part importance-weighted bound", "Rainforth et al.", 2018)
def ciwae(parts: Parts, samples: int = 50, share: float = 0.5) -> Recipe:
    """The VAE trained by CIWAE.

    Args:
        samples: draws of the latents for each row.
        share: the part of the ELBO in the sum.
    """
    return Recipe(one_latent(parts), Ciwae(samples, share))


@recipe("IWAE by a gradient of less variance", "Tucker et al.", 2019)
def dreg(parts: Parts, samples: int = 50) -> Recipe:
    """The importance-weighted autoencoder with doubly reparameterised gradients.

    Args:
        samples: draws of the latents for each row.
    """
    return Recipe(one_latent(parts), Iwae(samples, DoublyReparameterised()))


@recipe("the ELBO by a gradient of less variance", "Roeder, Wu and Duvenaud", 2017)
def stl(parts: Parts) -> Recipe:
    """The VAE whose gradient sticks the landing."""
    return Recipe(one_latent(parts), Iwae(1, StickTheLanding()))


@recipe("a bound between the ELBO and log p(x), by its order", "Li and Turner", 2016)
def renyi(parts: Parts, alpha: float = 0.5, samples: int = 50) -> Recipe:
    """The VAE trained by the variational Renyi bound.

    Args:
        alpha: order of the divergence: 1 is the ELBO, 0 the importance-weighted bound.
        samples: draws of the latents for each row.
    """
    return Recipe(one_latent(parts), Renyi(alpha, samples))
