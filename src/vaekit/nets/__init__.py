"""Nets: plain modules from inputs `(n, *event)` to outputs `(n, *out_shape)`, and the builders that make a VAE's two.

>>> import torch
>>> encoder = NETS["conv"](channels=(16, 32)).down(in_shapes=[(1, 28, 28)], out_shape=(40,))
>>> encoder(torch.zeros(5, 1, 28, 28)).shape
torch.Size([5, 40])
"""

from vaekit.nets.builders import NETS, Convolutional, Dense, Gated, NetBuilder, Residual, WithShortcut
from vaekit.nets.conv import conv_levels
from vaekit.nets.holes import HolesSeen
from vaekit.nets.mlp import MLP, GatedLinear, Shortcut
from vaekit.nets.parts import ACTIVATIONS, NORMALISATIONS, Activation, Normalisation, Normaliser
from vaekit.nets.pyramid import Down, Levels, Up
from vaekit.nets.resnet import ResidualBlock, residual_levels
from vaekit.nets.shapes import Size

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "NETS",
    "NORMALISATIONS",
    "Activation",
    "Convolutional",
    "Dense",
    "Down",
    "Gated",
    "GatedLinear",
    "HolesSeen",
    "Levels",
    "NetBuilder",
    "Normalisation",
    "Normaliser",
    "Residual",
    "ResidualBlock",
    "Shortcut",
    "Size",
    "Up",
    "WithShortcut",
    "conv_levels",
    "residual_levels",
]
