"""Data whose holes tell something of what is missing."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from vaekit.common.registry import Registry
from vaekit.core import VAE, Latent
from vaekit.families.columns import Marginal, TableFeatures
from vaekit.families.not_at_random import ByColumn, ByNet, Missingness, NotAtRandom, SelfMasking
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


def _curve(marginal: Marginal) -> nn.Module:
    eye = TableFeatures((marginal,))
    return nn.Sequential(eye, nn.Linear(eye.features, 1))


def linear(parts: Parts) -> Missingness:
    """The whole row decides, linearly in its features."""
    return _by_net(parts, ())


def general(parts: Parts) -> Missingness:
    """The whole row decides, by a net with a hidden layer."""
    return _by_net(parts, (WIDTH,))


def _by_net(parts: Parts, hidden: tuple[int, ...]) -> Missingness:
    return ByNet(MLP([parts.form.seen_shape], parts.event_shape, hidden), parts.form.eye())


MISSINGNESS: Registry[Callable[[Parts], Missingness]] = Registry(
    "missingness", {"self_masking": self_masking, "linear": linear, "general": general}
)
"""What makes holes, by name."""


@recipe("holes that tell something of what is missing", "Ipsen, Mattei and Frellsen", 2021)
def not_miwae(parts: Parts, missingness: str = "self_masking", samples: int = 20) -> Recipe:
    """The not-MIWAE: a model of the data, and of which cells are missing."""
    likelihood = NotAtRandom(parts.decoder(), MISSINGNESS[missingness](parts))
    return Recipe(VAE(likelihood, z=Latent(parts.prior(), parts.encoder())), Iwae(samples))
