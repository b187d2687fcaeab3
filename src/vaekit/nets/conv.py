"""Convolutional nets for images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vaekit.nets.parts import Activation, Normaliser, optional
from vaekit.nets.pyramid import Down, Levels, Up
from vaekit.nets.shapes import Size


class ConvDown(nn.Module):
    """A convolutional net from an image to a vector or a coarser map.

    For each of `channels` a 3x3 convolution of stride 2, the normalisation and the activation; then dense layers
    `hidden` and a linear one to a vector, or one more convolution to a map. The first input of shape
    `(channels, height, width)` is the image; further maps are resized to it, and each number of further vectors is a
    constant channel beside it. Inputs `(n, *in_shapes[i])`, output `(n, *out_shape)`.

    Raises `UsageError` for a width or a shape with a 0, and where there is no image among the inputs.

    >>> import torch
    >>> encoder = ConvDown([(1, 28, 28), (10,)], (40,))
    >>> encoder(torch.zeros(5, 1, 28, 28), torch.zeros(5, 10)).shape
    torch.Size([5, 40])
    """

    def __init__(
        self,
        in_shapes: Sequence[Size],
        out_shape: Size,
        channels: Sequence[int] = (32, 64),
        hidden: Sequence[int] = (),
        activation: Activation = nn.ReLU,
        normalisation: Normaliser | None = None,
    ) -> None:
        super().__init__()
        self.net = Down(in_shapes, out_shape, _levels(channels, hidden, activation, normalisation))

    def forward(self, *inputs: Tensor) -> Tensor:
        """The net's output for inputs in the order of `in_shapes`."""
        y: Tensor = self.net(*inputs)
        return y


class ConvUp(nn.Module):
    """A convolutional net from vectors or coarse maps to an image of any height and width.

    The mirror of `ConvDown`, with `channels` and `hidden` given in the same order, from the image's side: the vectors
    are joined and go through dense layers to the coarsest map (maps among the inputs, through a convolution, are added
    to it); for each level the map grows by nearest neighbours to the exact size of the next and is convolved. Inputs
    `(n, *in_shapes[i])`, output `(n, *out_shape)`.

    Raises `UsageError` for a width or a shape with a 0, and where `out_shape` is not `(channels, height, width)`.

    >>> import torch
    >>> decoder = ConvUp([(20,), (10,)], (1, 20, 28))
    >>> decoder(torch.zeros(5, 20), torch.zeros(5, 10)).shape
    torch.Size([5, 1, 20, 28])
    """

    def __init__(
        self,
        in_shapes: Sequence[Size],
        out_shape: Size,
        channels: Sequence[int] = (32, 64),
        hidden: Sequence[int] = (),
        activation: Activation = nn.ReLU,
        normalisation: Normaliser | None = None,
    ) -> None:
        super().__init__()
        self.net = Up(in_shapes, out_shape, _levels(channels, hidden, activation, normalisation))

    def forward(self, *inputs: Tensor) -> Tensor:
        """The net's output for inputs in the order of `in_shapes`."""
        y: Tensor = self.net(*inputs)
        return y


def _levels(
    channels: Sequence[int], hidden: Sequence[int], activation: Activation, normalisation: Normaliser | None
) -> Levels:
    def body(width: int) -> nn.Module:
        return nn.Sequential(*optional(normalisation, width), activation())

    return Levels(channels, body, hidden, activation, bias=normalisation is None)
