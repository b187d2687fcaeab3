"""Data whose holes tell something of what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from vaekit.common.registry import Registry
from vaekit.core import VAE, Latent
from vaekit.families.columns import Marginal, TableFeatures
from vaekit.families.not_at_random import ByColumn, ByNet, Missingness, NotAtRandom, SelfMasking, SelfMaskingOneWay
from vaekit.flows.conditional import Slice
from vaekit.nets import MLP
from vaekit.objectives import Iwae
from vaekit.recipes.forms import TableForm
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe

WIDTH = 64
"""Of the hidden layer of a general mechanism."""


def self_masking(parts: Parts) -> Missingness:
    """A cell's own value decides whether it is missing, by a logistic curve; of a level, each level by itself."""
    if isinstance(parts.form, TableForm):
        return ByColumn(_curve(marginal) for marginal in parts.form.marginals)
    return SelfMasking(parts.event_shape)


def _curve(marginal: Marginal, towards: int | None = None) -> nn.Module:
    """A column's curve, of its features; of a number at unit scale alone, where it is known which way it goes."""
    eye = TableFeatures((marginal,))
    if towards is None or marginal.levels:
        return nn.Sequential(eye, nn.Linear(eye.features, 1))
    return nn.Sequential(eye, Slice(0, 1), SelfMaskingOneWay((1,), towards))


def high_missing(parts: Parts) -> Missingness:
    """Self-masking, and high numbers are known to be missing more often than low ones."""
    return _one_way(parts, 1)


def low_missing(parts: Parts) -> Missingness:
    """Self-masking, and low numbers are known to be missing more often than high ones."""
    return _one_way(parts, -1)


def _one_way(parts: Parts, towards: int) -> Missingness:
    if isinstance(parts.form, TableForm):
        return ByColumn(_curve(marginal, towards) for marginal in parts.form.marginals)
    return SelfMaskingOneWay(parts.event_shape, towards)


def linear(parts: Parts) -> Missingness:
    """The whole row decides, linearly in its features."""
    return _by_net(parts, ())


def general(parts: Parts) -> Missingness:
    """The whole row decides, by a net with a hidden layer."""
    return _by_net(parts, (WIDTH,))


def _by_net(parts: Parts, hidden: tuple[int, ...]) -> Missingness:
    return ByNet(MLP([parts.form.seen_shape], parts.event_shape, hidden), parts.form.eye())


MISSINGNESS: Registry[Callable[[Parts], Missingness]] = Registry(
    "missingness",
    {
        "self_masking": self_masking,
        "high_missing": high_missing,
        "low_missing": low_missing,
        "linear": linear,
        "general": general,
    },
)
"""What makes holes, by name."""


@recipe("holes that tell something of what is missing", "Ipsen, Mattei and Frellsen", 2021)
def not_miwae(parts: Parts, missingness: str = "self_masking", samples: int = 20) -> Recipe:
    """The not-MIWAE: a model of the data, and of which cells are missing.

    Its nets level off, with tanh, unless another activation is asked for: where nobody has seen a value, those that go
    on straight put it anywhere.

    Args:
        missingness: self_masking, high_missing, low_missing, linear or general.
        samples: draws of the latents for each row.
    """
    level = replace(parts, architecture=parts.architecture.preferring("tanh"))
    likelihood = NotAtRandom(level.decoder(), MISSINGNESS[missingness](parts))
    return Recipe(VAE(likelihood, z=Latent(level.prior(), level.encoder())), Iwae(samples))
