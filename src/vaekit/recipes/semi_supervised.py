"""VAEs that know labels, guess them, or find clusters of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Size

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Condition, Latent, Parametric
from vaekit.families import Normal, OneHot
from vaekit.nets import Dense
from vaekit.nets.shapes import is_map
from vaekit.objectives import Elbo, Enumerate, Separated, SeparationWeights, SmallMoves
from vaekit.priors import LearnedMixture, classes
from vaekit.recipes.classic import one_latent
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe

OWN_OF_THE_NET: dict[str, Any] = {"hidden": None, "activation": None, "normalisation": None}
"""What a net has of its own where nothing is chosen."""


def on_codes(parts: Parts) -> Parts:
    """Parts with dense nets, for those that read codes, whatever nets read x."""
    return replace(parts, architecture=replace(parts.architecture, net="mlp", **OWN_OF_THE_NET))


def normal_of_each(parts: Parts, name: str, one_hot: Size) -> Parametric:
    """p(z | class): a normal for each of the classes."""
    family = Normal()
    return Parametric(Dense(hidden=()).down([one_hot], family.params_shape(parts.latent_shape)), family, name)


@recipe("a model of data given their labels", "Sohn, Lee and Yan", 2015)
def cvae(parts: Parts, labels: int = 10) -> Recipe:
    """The conditional VAE: q(z | x, y), p(x | z, y), with y the labels of the data.

    Args:
        labels: how many classes there are.
    """
    x, y, z = parts.event_shape, Size((labels,)), parts.latent_shape
    latent = Latent(parts.prior(), parts.encoder({"x": x, "y": y}))
    return Recipe(VAE(parts.decoder({"z": z, "y": y}), y=Condition(y), z=latent), Elbo())


@recipe("a VAE whose codes a classifier is then taught", "Kingma, Rezende, Mohamed and Welling", 2014, latent=50)
def m1(parts: Parts) -> Recipe:
    """The latent-feature model M1: train it on all rows, and a classifier on the codes of the labelled ones."""
    return Recipe(one_latent(parts), Elbo())


@recipe("labels as a latent, known for some rows", "Kingma, Rezende, Mohamed and Welling", 2014, latent=50)
def m2(parts: Parts, labels: int = 10, classify: float = 50.0) -> Recipe:
    """The semi-supervised model M2: q(y | x), q(z | x, y), p(x | z, y); a label of -1 is not known.

    Args:
        labels: how many classes there are.
        classify: weight of log q(y | x) where y is known.
    """
    x, y, z = parts.event_shape, Size((labels,)), parts.latent_shape
    label = Latent(classes(y), parts.of_shape(labels).encoder(family=OneHot()))
    latent = Latent(parts.prior(), parts.encoder({"x": x, "y": y}))
    return Recipe(VAE(parts.decoder({"z": z, "y": y}), y=label, z=latent), Enumerate("y", Elbo(), classify))


@recipe("M2 on the codes of an M1, in one model", "Kingma, Rezende, Mohamed and Welling", 2014, latent=50)
def m1_m2(parts: Parts, labels: int = 10, classify: float = 50.0) -> Recipe:
    """The stacked model M1+M2: q(z1 | x), q(y | z1), q(z2 | z1, y); p(z1 | z2, y), p(x | z1), all learned together.

    Args:
        labels: how many classes there are.
        classify: weight of log q(y | z1) where y is known.
    """
    x, y, z = parts.event_shape, Size((labels,)), parts.latent_shape
    dense = on_codes(parts)
    codes = Latent(dense.between({"z2": z, "y": y}), parts.encoder({"x": x}))
    label = Latent(classes(y), dense.of_shape(labels).encoder({"z1": z}, OneHot()))
    latent = Latent(parts.prior(), dense.encoder({"z1": z, "y": y}))
    model = VAE(parts.decoder({"z1": z}), z1=codes, y=label, z2=latent)
    return Recipe(model, Enumerate("y", Elbo(), classify))


@recipe("labels as a latent, beside an auxiliary one", "Maaløe, Sønderby, Sønderby and Winther", 2016, latent=50)
def adgm(parts: Parts, labels: int = 10, classify: float = 50.0) -> Recipe:
    """The auxiliary deep generative model, in its skip form (SDGM), in which x is made of the auxiliary variable too.

    q(a | x), q(y | a, x), q(z | a, y, x); p(a | y, z), p(x | a, y, z). With a, the posterior of y and z is no longer
    one of independent variables. A label of -1 is not known.

    Args:
        labels: how many classes there are.
        classify: weight of log q(y | a, x) where y is known.
    """
    x, y, z = parts.event_shape, Size((labels,)), parts.latent_shape
    auxiliary = Latent(on_codes(parts).between({"y": y, "z": z}), parts.encoder({"x": x}))
    label = Latent(classes(y), parts.of_shape(labels).encoder({"a": z, "x": x}, OneHot()))
    latent = Latent(parts.prior(), parts.encoder({"a": z, "y": y, "x": x}))
    model = VAE(parts.decoder({"a": z, "y": y, "z": z}), a=auxiliary, y=label, z=latent)
    return Recipe(model, Enumerate("y", Elbo(), classify))


@recipe("labels or clusters with borders where there are no data", "Hu et al.", 2017, latent=20)
def smooth_gm_vae(
    parts: Parts,
    labels: int = 10,
    classify: float = 200.0,
    classifier: tuple[int, ...] = (500, 500),
    smooth: float = 50.0,
    spread: float = 20.0,
    certain: float = 5.0,
    radius: float = 0.25,
    alike: float = 50.0,
) -> Recipe:
    """The Gaussian-mixture VAE p(y), p(z | y), p(x | z) with q(y | x), q(z | x), and a q(y | x) that is made smooth.

    What is maximised is the ELBO with y summed out, alpha log q(y | x) where y is known, and `Separated`: the mutual
    information of x and y, less the change of q(y | x) along a step in its worst direction, and of images by a small
    turn, slant, stretch and shift (`alike=0` leaves that out). With labels, of which -1 is not known, it is a
    classifier; without any it finds clusters.

    Args:
        labels: how many classes or clusters there are.
        classify: weight of log q(y | x) where y is known.
        classifier: widths of the layers of q(y | x).
        smooth: weight of the change of q(y | x) along the worst step.
        spread: weight of the entropy of all y together.
        certain: weight of the certainty of each.
        radius: length of the step, in distances to a near row.
        alike: weight of the change of q(y | x) by small moves of an image.
    """
    if not parts.form.smooth:
        raise UsageError("smooth_gm_vae takes steps from a row, which levels and holes forbid: take m2, or gm_vae")
    y = Size((labels,))
    deep = replace(on_codes(parts).architecture, hidden=classifier, normalisation="batch")
    label = Latent(classes(y), replace(parts, architecture=deep).of_shape(labels).encoder(family=OneHot()))
    model = VAE(parts.decoder(), y=label, z=Latent(normal_of_each(parts, "y", y), parts.encoder()))
    weights = SeparationWeights(smooth, spread, certain, radius, alike)
    moves = SmallMoves() if alike and is_map(parts.event_shape) else None
    return Recipe(model, Separated(Enumerate("y", Elbo(), classify), weights, moves))


@recipe("clusters as a latent, each with a prior of its own", "Shu", 2016)
def gm_vae(parts: Parts, components: int = 10) -> Recipe:
    """The Gaussian-mixture VAE: q(c | x), q(z | x, c), p(z | c), p(x | z), with c summed out.

    Args:
        components: how many clusters there may be.
    """
    x, c = parts.event_shape, Size((components,))
    cluster = Latent(classes(c), parts.of_shape(components).encoder(family=OneHot()))
    latent = Latent(normal_of_each(parts, "c", c), parts.encoder({"x": x, "c": c}))
    return Recipe(VAE(parts.decoder(), c=cluster, z=latent), Enumerate("c", Elbo()))


@recipe("clusters in the prior, with their exact responsibilities", "Jiang et al.", 2017, latent=10)
def vade(parts: Parts, components: int = 10) -> Recipe:
    """VaDE: with q(c | x) the mixture's own p(c | z), the sum over clusters c is the mixture's density.

    Args:
        components: how many clusters there may be.
    """
    prior = LearnedMixture(parts.latent_shape, components)
    return Recipe(VAE(parts.decoder(), z=Latent(prior, parts.encoder())), Elbo())


@recipe("a prior that reads what is known beside x: latents are identified", "Khemakhem et al.", 2020)
def ivae(parts: Parts, labels: int = 10) -> Recipe:
    """The identifiable VAE: p(z | u), q(z | x, u), p(x | z), with u the labels of the data.

    Args:
        labels: how many values u has.
    """
    x, u = parts.event_shape, Size((labels,))
    latent = Latent(normal_of_each(parts, "u", u), parts.encoder({"x": x, "u": u}))
    return Recipe(VAE(parts.decoder(), u=Condition(u), z=latent), Elbo())
