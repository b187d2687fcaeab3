"""VAEs that know labels, guess them, or find clusters of their own."""

from __future__ import annotations

from torch import Size

from vaekit.core import VAE, Condition, Latent, Parametric
from vaekit.families import Normal, OneHot
from vaekit.nets import Dense
from vaekit.objectives import Elbo, Enumerate
from vaekit.priors import LearnedMixture, classes
from vaekit.recipes.classic import one_latent
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe


def normal_of_each(parts: Parts, name: str, one_hot: Size) -> Parametric:
    """p(z | class): a normal for each of the classes."""
    family = Normal()
    return Parametric(Dense(hidden=()).down([one_hot], family.params_shape(parts.latent_shape)), family, name)


@recipe("a model of data given their labels", "Sohn, Lee and Yan", 2015)
def cvae(parts: Parts, labels: int = 10) -> Recipe:
    """The conditional VAE: q(z | x, y), p(x | z, y), with y the labels of the data."""
    x, y, z = parts.event_shape, Size((labels,)), parts.latent_shape
    latent = Latent(parts.prior(), parts.encoder({"x": x, "y": y}))
    return Recipe(VAE(parts.decoder({"z": z, "y": y}), y=Condition(y), z=latent), Elbo())


@recipe("a VAE whose codes a classifier is then taught", "Kingma, Rezende, Mohamed and Welling", 2014, latent=50)
def m1(parts: Parts) -> Recipe:
    """The latent-feature model M1: train it on all rows, and a classifier on the codes of the labelled ones."""
    return Recipe(one_latent(parts), Elbo())


@recipe("labels as a latent, known for some rows", "Kingma, Rezende, Mohamed and Welling", 2014, latent=50)
def m2(parts: Parts, labels: int = 10, classify: float = 50.0) -> Recipe:
    """The semi-supervised model M2: q(y | x), q(z | x, y), p(x | z, y); a label of -1 is not known."""
    x, y, z = parts.event_shape, Size((labels,)), parts.latent_shape
    label = Latent(classes(y), parts.of_shape(labels).encoder(family=OneHot()))
    latent = Latent(parts.prior(), parts.encoder({"x": x, "y": y}))
    return Recipe(VAE(parts.decoder({"z": z, "y": y}), y=label, z=latent), Enumerate("y", Elbo(), classify))


@recipe("clusters as a latent, each with a prior of its own", "Shu", 2016)
def gm_vae(parts: Parts, components: int = 10) -> Recipe:
    """The Gaussian-mixture VAE: q(c | x), q(z | x, c), p(z | c), p(x | z), with c summed out."""
    x, c = parts.event_shape, Size((components,))
    cluster = Latent(classes(c), parts.of_shape(components).encoder(family=OneHot()))
    latent = Latent(normal_of_each(parts, "c", c), parts.encoder({"x": x, "c": c}))
    return Recipe(VAE(parts.decoder(), c=cluster, z=latent), Enumerate("c", Elbo()))


@recipe("clusters in the prior, with their exact responsibilities", "Jiang et al.", 2017, latent=10)
def vade(parts: Parts, components: int = 10) -> Recipe:
    """VaDE: with q(c | x) the mixture's own p(c | z), the sum over clusters c is the mixture's density."""
    prior = LearnedMixture(parts.latent_shape, components)
    return Recipe(VAE(parts.decoder(), z=Latent(prior, parts.encoder())), Elbo())


@recipe("a prior that reads what is known beside x: latents are identified", "Khemakhem et al.", 2020)
def ivae(parts: Parts, labels: int = 10) -> Recipe:
    """The identifiable VAE: p(z | u), q(z | x, u), p(x | z), with u the labels of the data."""
    x, u = parts.event_shape, Size((labels,))
    latent = Latent(normal_of_each(parts, "u", u), parts.encoder({"x": x, "u": u}))
    return Recipe(VAE(parts.decoder(), u=Condition(u), z=latent), Elbo())
