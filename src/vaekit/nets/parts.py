"""The parts a hidden layer is made of, by name: activations and normalisations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from torch import nn

from vaekit.common.registry import Registry

Activation: TypeAlias = Callable[[], nn.Module]
"""Makes an elementwise nonlinearity."""

Normaliser: TypeAlias = Callable[[int], nn.Module]
"""Makes the normalisation of a layer from its width (features of a vector, channels of a map)."""

_CHANNELS_PER_GROUP = 8


@dataclass(frozen=True)
class Normalisation:
    """One way to normalise a hidden layer, for vectors `(n, width)` and for maps `(n, channels, height, width)`.

    None stands for no normalisation.

    >>> NORMALISATIONS["batch"].vector(400)
    BatchNorm1d(400, ...)
    """

    vector: Normaliser | None
    map: Normaliser | None


def group_norm(width: int) -> nn.GroupNorm:
    """Group normalisation in groups of eight channels, or in one group where eight does not divide the width.

    A group of eight keeps some variance even where a map has a single pixel. Source: Wu and He, 2018.

    >>> group_norm(32).num_groups, group_norm(20).num_groups
    (4, 1)
    """
    groups, rest = divmod(width, _CHANNELS_PER_GROUP)
    return nn.GroupNorm(1 if rest else groups, width)


def optional(normaliser: Normaliser | None, width: int) -> list[nn.Module]:
    """The normalisation of one layer as a list of no or one module, to be spliced into an `nn.Sequential`.

    >>> optional(None, 400), optional(nn.LayerNorm, 400)
    ([], [LayerNorm((400,), ...)])
    """
    return [] if normaliser is None else [normaliser(width)]


ACTIVATIONS: Registry[Activation] = Registry(
    "activation",
    {
        "relu": nn.ReLU,
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
        "elu": nn.ELU,
        "leaky_relu": nn.LeakyReLU,
        "softplus": nn.Softplus,
    },
)
"""Activations by name."""

NORMALISATIONS: Registry[Normalisation] = Registry(
    "normalisation",
    {
        "none": Normalisation(None, None),
        "batch": Normalisation(nn.BatchNorm1d, nn.BatchNorm2d),
        "layer": Normalisation(nn.LayerNorm, partial(nn.GroupNorm, 1)),
        "group": Normalisation(group_norm, group_norm),
    },
)
"""Normalisations by name; on a map, "layer" takes its statistics over channels and pixels together."""
