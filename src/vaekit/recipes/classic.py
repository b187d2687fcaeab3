"""The classic VAE and its relatives that differ in the weight of the KL, the likelihood or the posterior."""

from __future__ import annotations

from vaekit.core import VAE, Latent
from vaekit.objectives import Cyclical, Elbo, Linear, Trimmed
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe


def one_latent(parts: Parts) -> VAE:
    """The model they share: p(z), q(z | x), p(x | z)."""
    return VAE(parts.decoder(), z=Latent(parts.prior(), parts.encoder()))


@recipe("the variational autoencoder", "Kingma and Welling", 2013)
def vae(parts: Parts) -> Recipe:
    """The variational autoencoder."""
    return Recipe(one_latent(parts), Elbo())


@recipe("of each batch it leaves out the rows that it explains worst", "Neykov, Filzmoser, Dimova and Neytchev", 2007)
def trimmed_vae(parts: Parts, share: float = 0.2) -> Recipe:
    """The VAE of data that hold outliers, which are not to be learned.

    Args:
        share: of each batch, the rows left out.
    """
    return Recipe(one_latent(parts), Trimmed(Elbo(), share))


@recipe("a heavier KL, for latents that mean one thing each", "Higgins et al.", 2017)
def beta_vae(parts: Parts, beta: float = 4.0) -> Recipe:
    """The beta-VAE.

    Args:
        beta: weight of the KL.
    """
    return Recipe(one_latent(parts), Elbo(beta=beta))


@recipe("the KL's weight grows from 0 to 1, against posterior collapse", "Bowman et al.", 2016)
def annealed_vae(parts: Parts, steps: int = 5000) -> Recipe:
    """The VAE with KL warm-up.

    Args:
        steps: updates until the KL's weight is 1.
    """
    return Recipe(one_latent(parts), Elbo(beta=Linear(0.0, 1.0, steps)))


@recipe("the KL's weight grows again and again", "Fu et al.", 2019)
def cyclical_vae(parts: Parts, period: int = 2000) -> Recipe:
    """The VAE with cyclical annealing.

    Args:
        period: updates from one 0 of the KL's weight to the next.
    """
    return Recipe(one_latent(parts), Elbo(beta=Cyclical(0.0, 1.0, period)))


@recipe("a floor under each coordinate's KL, against posterior collapse", "Kingma et al.", 2016)
def free_bits_vae(parts: Parts, nats: float = 0.1) -> Recipe:
    """The VAE with free bits.

    Args:
        nats: the floor under each coordinate's KL.
    """
    return Recipe(one_latent(parts), Elbo(free_bits=nats))


@recipe("a normal likelihood that learns its noise", "Rybkin, Daniilidis and Levine", 2021, likelihood="normal")
def sigma_vae(parts: Parts) -> Recipe:
    """The sigma-VAE."""
    return Recipe(one_latent(parts), Elbo())


@recipe("a posterior whose coordinates may be correlated", "Kingma and Welling", 2019, posterior="full_normal")
def full_covariance_vae(parts: Parts) -> Recipe:
    """The VAE with a full-covariance posterior."""
    return Recipe(one_latent(parts), Elbo())


@recipe("convolutional nets, for images", "Kingma and Welling", 2013, net="conv")
def conv_vae(parts: Parts) -> Recipe:
    """The VAE with convolutional nets."""
    return Recipe(one_latent(parts), Elbo())
