"""VAEs with another measure in the place of the KL, a rate under control, or none at all: autoencoders."""

from __future__ import annotations

from vaekit.core import VAE, Latent
from vaekit.families.point import Delta
from vaekit.objectives import CodeNorm, Elbo, GradientPenalty, Mmd, TargetDistortion, TargetRate
from vaekit.recipes.classic import one_latent
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe


def with_points(parts: Parts) -> VAE:
    """The classic model with a point in the place of the posterior."""
    return VAE(parts.decoder(), z=Latent(parts.prior(), parts.encoder(family=Delta())))


@recipe("a kernel's distance of all codes from the prior beside the KL", "Zhao, Song and Ermon", 2019)
def info_vae(parts: Parts, beta: float = 0.0, weight: float = 1000.0) -> Recipe:
    """The InfoVAE, of alpha = 1 - beta and lambda = weight + beta.

    Args:
        beta: weight of the KL.
        weight: of the kernel's distance.
    """
    return Recipe(one_latent(parts), Elbo(beta=beta) + Mmd(weight))


@recipe("sure codes, as a whole like draws of the prior", "Tolstikhin et al.", 2018)
def wae(parts: Parts, weight: float = 1000.0) -> Recipe:
    """The Wasserstein autoencoder with a kernel.

    Args:
        weight: of the kernel's distance.
    """
    return Recipe(with_points(parts), Elbo(beta=0.0) + Mmd(weight))


@recipe("sure and short codes, and a smooth decoder", "Ghosh et al.", 2020)
def rae(parts: Parts, beta: float = 1.0, smoothness: float = 0.01) -> Recipe:
    """The regularised autoencoder; a prior to draw from is fitted to the codes afterwards.

    Args:
        beta: weight of half the codes' squared length.
        smoothness: weight of the decoder's squared slope.
    """
    return Recipe(with_points(parts), Elbo(beta=0.0) + CodeNorm(beta) + GradientPenalty(smoothness))


@recipe("sure codes, and nothing else", "Rumelhart, Hinton and Williams", 1986)
def ae(parts: Parts) -> Recipe:
    """The autoencoder that is not variational."""
    return Recipe(with_points(parts), Elbo(beta=0.0))


@recipe("as small a rate as a given distortion allows", "Rezende and Viola", 2018)
def geco_vae(parts: Parts, distortion: float = 90.0, speed: float = 0.01) -> Recipe:
    """The VAE under GECO; `distortion` is -E log p(x | z) in nats.

    Args:
        distortion: what -E log p(x | z) may be, in nats.
        speed: how fast the weight of what is above it follows.
    """
    return Recipe(one_latent(parts), TargetDistortion(distortion, speed))


@recipe("as small a distortion as a given rate allows", "Rezende and Viola", 2018)
def target_rate_vae(parts: Parts, rate: float = 20.0, speed: float = 0.01) -> Recipe:
    """The VAE whose KL is held at a number of nats.

    Args:
        rate: what the KL is to be, in nats.
        speed: how fast the weight of what is above it follows.
    """
    return Recipe(one_latent(parts), TargetRate(rate, speed))
