"""Autoencoders that play against a discriminator."""

from __future__ import annotations

from torch import Size, nn

from vaekit.nets import Dense
from vaekit.objectives import CodeDiscriminator, Critic, Elbo
from vaekit.recipes.classic import one_latent
from vaekit.recipes.divergences import with_points
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe


@recipe("sure codes that a discriminator cannot tell from the prior", "Makhzani et al.", 2016)
def aae(parts: Parts, weight: float = 10.0, adversary: tuple[int, ...] = (400, 400)) -> Recipe:
    """The adversarial autoencoder.

    Args:
        weight: of the discriminator's judgement.
        adversary: widths of the discriminator's layers.
    """
    net = Dense(adversary, activation="leaky_relu").down([parts.latent_shape], (1,))
    return Recipe(with_points(parts), Elbo(beta=0.0) + CodeDiscriminator(net, weight))


@recipe("likeness by a discriminator's features too", "Larsen, Sønderby, Larochelle and Winther", 2016, net="conv")
def vae_gan(parts: Parts, likeness: float = 0.1, gamma: float = 1.0, features: int = 256) -> Recipe:
    """The VAE-GAN.

    Args:
        likeness: weight of the likeness of the critic's features.
        gamma: weight of the critic's judgement.
        features: how many features the critic has.
    """
    net = parts.reading({"x": parts.event_shape}, Size((features,)))
    eyes = nn.Sequential(net, nn.SiLU(), nn.LayerNorm(features, elementwise_affine=False))
    return Recipe(one_latent(parts), Elbo() + Critic(eyes, nn.Linear(features, 1), likeness, gamma))
