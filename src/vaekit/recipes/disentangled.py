"""VAEs whose latents are to mean one thing each."""

from __future__ import annotations

from vaekit.nets import Dense
from vaekit.objectives import Capacity, DipI, DipII, Elbo, FactorDiscriminator, Linear, TotalCorrelation
from vaekit.recipes.classic import one_latent
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe


@recipe("a heavier total correlation, estimated from the batch", "Chen, Li, Grosse and Duvenaud", 2018)
def beta_tcvae(parts: Parts, beta: float = 6.0, num_data: int = 60_000) -> Recipe:
    """The beta-TCVAE; `num_data` is the number of training examples.

    Args:
        beta: weight of the total correlation.
        num_data: number of training rows.
    """
    return Recipe(one_latent(parts), Elbo() + TotalCorrelation(beta - 1, num_data))


@recipe("a heavier total correlation, told by an adversary", "Kim and Mnih", 2018)
def factor_vae(parts: Parts, gamma: float = 10.0, adversary: tuple[int, ...] = (400, 400)) -> Recipe:
    """The FactorVAE.

    Args:
        gamma: weight of the total correlation beside the KL's own.
        adversary: widths of the adversary's layers.
    """
    net = Dense(adversary, activation="leaky_relu").down([parts.latent_shape], (1,))
    return Recipe(one_latent(parts), Elbo() + FactorDiscriminator(net, gamma))


@recipe("uncorrelated posterior means", "Kumar, Sattigeri and Balakrishnan", 2018)
def dip_vae(parts: Parts, weight: float = 10.0, diagonal: float = 10.0) -> Recipe:
    """The DIP-VAE-I.

    Args:
        weight: of the covariances between coordinates.
        diagonal: weight of what each variance is away from 1.
    """
    return Recipe(one_latent(parts), Elbo() + DipI(weight, diagonal))


@recipe("an uncorrelated aggregate posterior", "Kumar, Sattigeri and Balakrishnan", 2018)
def dip_vae_ii(parts: Parts, weight: float = 10.0, diagonal: float = 1.0) -> Recipe:
    """The DIP-VAE-II.

    Args:
        weight: of the covariances between coordinates.
        diagonal: weight of what each variance is away from 1.
    """
    return Recipe(one_latent(parts), Elbo() + DipII(weight, diagonal))


@recipe("a rate that grows in small steps", "Burgess et al.", 2018)
def capacity_vae(parts: Parts, rate: float = 25.0, steps: int = 10_000, gamma: float = 100.0) -> Recipe:
    """The VAE whose rate is led from 0 to a number of nats.

    Args:
        rate: what the KL is to be at last, in nats.
        steps: updates until then.
        gamma: weight of what the KL is away from it.
    """
    return Recipe(one_latent(parts), Capacity(Linear(0.0, rate, steps), gamma))
