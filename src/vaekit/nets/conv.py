"""Convolutional nets for images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from vaekit.nets.parts import Activation, Normaliser, optional
from vaekit.nets.pyramid import Levels


def conv_levels(
    channels: Sequence[int] = (32, 64),
    hidden: Sequence[int] = (),
    activation: Activation = nn.ReLU,
    normalisation: Normaliser | None = None,
) -> Levels:
    """The levels of a convolutional net: on the maps of each of `channels`, the normalisation and the activation.

    Between a vector and the coarsest map there are dense layers `hidden`, given from the image's side. With a
    normalisation the convolutions have no bias, because it brings its own.

    Raises `UsageError` for a width of 0.

    >>> import torch
    >>> from vaekit.nets import Down, Up
    >>> levels = conv_levels((32, 64))
    >>> encoder, decoder = Down([(1, 28, 28), (10,)], (40,), levels), Up([(20,), (10,)], (1, 20, 28), levels)
    >>> encoder(torch.zeros(5, 1, 28, 28), torch.zeros(5, 10)).shape
    torch.Size([5, 40])
    >>> decoder(torch.zeros(5, 20), torch.zeros(5, 10)).shape
    torch.Size([5, 1, 20, 28])
    """

    def body(width: int) -> nn.Module:
        return nn.Sequential(*optional(normalisation, width), activation())

    return Levels(channels, body, hidden, activation, bias=normalisation is None)
