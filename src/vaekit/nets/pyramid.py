"""What image nets share: the sizes of their levels, the way from one size to the next, the joining of inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.nets.mlp import MLP, flatten
from vaekit.nets.parts import Activation
from vaekit.nets.shapes import Extent, Size, check_shapes, check_widths, extent, is_map, listed

Body: TypeAlias = Callable[[int], nn.Module]
"""Makes, from a number of channels, what happens at one level: a module that keeps channels and size."""


@dataclass(frozen=True)
class Levels:
    """What the levels of an image net are made of, from fine to coarse.

    `channels[i]` is the width of the maps that were halved `i + 1` times; `hidden` are the dense layers between the
    coarsest map and a vector, and `activation` is theirs. `bias` tells whether a convolution that leads into a body
    has a bias: it needs none where the body begins with a normalisation.

    Raises `UsageError` for a width of 0 and where there is no level.

    >>> Levels((), body=lambda channels: nn.ReLU())
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: channels = () makes no image net: give the channels of at least one level
    """

    channels: Sequence[int]
    body: Body
    hidden: Sequence[int] = ()
    activation: Activation = nn.ReLU
    bias: bool = True

    def __post_init__(self) -> None:
        if not self.channels:
            raise UsageError("channels = () makes no image net: give the channels of at least one level")
        check_widths("channels", self.channels)
        check_widths("hidden", self.hidden)

    def shapes(self, size: Extent, floor: Extent) -> list[Size]:
        """Shapes of the maps below an image: each half of the one before, rounded up, and never below the floor.

        >>> Levels((32, 64), body=lambda channels: nn.ReLU()).shapes((20, 28), floor=(1, 10))
        [(32, 10, 14), (64, 5, 10)]
        """
        shapes: list[Size] = []
        for channels in self.channels:
            size = _halved(size[0], floor[0]), _halved(size[1], floor[1])
            shapes.append((channels, *size))
        return shapes

    def between(self, shapes: Sequence[Size]) -> nn.Sequential:
        """The net through maps of these shapes: to each from the one before by a convolution, then a body."""
        layers = nn.Sequential()
        for source, target in pairwise(shapes):
            layers.extend([resampling(source, target, bias=self.bias), self.body(target[0])])
        return layers


class Down(nn.Module):
    """A net from an image to a vector or a coarser map, by way of ever smaller and wider maps.

    The image is the first input of shape `(channels, height, width)`; further inputs join it as `JoinMaps` does.
    Each level is a convolution that halves the map, followed by the level's body. The coarsest map goes through
    dense layers to a vector, or, where `out_shape` is a map's, through a convolution; maps are then not halved below
    the output's size. Inputs `(n, *in_shapes[i])`, output `(n, *out_shape)`.

    Raises `UsageError` where there is no image among the inputs.

    >>> net = Down([(1, 28, 28)], (40,), Levels((32, 64), body=lambda channels: nn.ReLU()))
    >>> net(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 40])
    """

    def __init__(self, in_shapes: Sequence[Size], out_shape: Size, levels: Levels) -> None:
        super().__init__()
        check_shapes(in_shapes, out_shape)
        size = extent(_image("input", in_shapes))
        self.join = JoinMaps(in_shapes, size)
        shapes = levels.shapes(size, _largest([out_shape]))
        self.levels = levels.between([(self.join.channels, *size), *shapes])
        self.head = _head(shapes[-1], out_shape, levels)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The net's output for inputs in the order of `in_shapes`."""
        y: Tensor = self.head(self.levels(self.join(*inputs)))
        return y


class Up(nn.Module):
    """A net from vectors or coarse maps to an image, the mirror of `Down`.

    A `Seed` makes the coarsest map, which is never below the size of a map among the inputs. Each level is its body,
    then a convolution on the map grown to exactly the size of the next finer level; the last convolution gives the
    channels of `out_shape = (channels, height, width)`. Growing by nearest neighbours before a convolution leaves no
    checkerboard (Odena, Dumoulin and Olah, 2016). Inputs `(n, *in_shapes[i])`, output `(n, *out_shape)`.

    Raises `UsageError` where `out_shape` is not an image's.

    >>> net = Up([(20,), (10,)], (1, 20, 28), Levels((32, 64), body=lambda channels: nn.ReLU()))
    >>> net(torch.zeros(5, 20), torch.zeros(5, 10)).shape
    torch.Size([5, 1, 20, 28])
    """

    def __init__(self, in_shapes: Sequence[Size], out_shape: Size, levels: Levels) -> None:
        super().__init__()
        check_shapes(in_shapes, out_shape)
        _image("output", [out_shape])
        shapes = levels.shapes(extent(out_shape), _largest(in_shapes))[::-1]
        self.seed = Seed(in_shapes, shapes[0], levels)
        self.body = levels.body(shapes[0][0])
        self.levels = levels.between(shapes)
        self.head = resampling(shapes[-1], out_shape, kernel=5)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The net's output for inputs in the order of `in_shapes`."""
        y: Tensor = self.head(self.levels(self.body(self.seed(*inputs))))
        return y


class Seed(nn.Module):
    """The coarsest map of a net that goes up: a dense net on the joined vectors plus a convolution of the joined maps.

    Inputs `(n, *in_shapes[i])`, output `(n, *out_shape)`.

    >>> seed = Seed([(20,), (8, 7, 7)], (64, 7, 7), Levels((64,), body=lambda channels: nn.ReLU()))
    >>> seed(torch.zeros(5, 20), torch.zeros(5, 8, 7, 7)).shape
    torch.Size([5, 64, 7, 7])
    """

    def __init__(self, in_shapes: Sequence[Size], out_shape: Size, levels: Levels) -> None:
        super().__init__()
        vectors = [shape for shape in in_shapes if not is_map(shape)]
        maps = [shape for shape in in_shapes if is_map(shape)]
        self.dense = MLP(vectors, out_shape, levels.hidden[::-1], levels.activation) if vectors else None
        self.local = JoinedConvolution(maps, out_shape, levels.bias) if maps else None

    def forward(self, *inputs: Tensor) -> Tensor:
        """The map that the inputs seed."""
        vectors = [x for x in inputs if x.ndim != 4]
        maps = [x for x in inputs if x.ndim == 4]
        branches = (self.dense, vectors), (self.local, maps)
        parts: list[Tensor] = [branch(*group) for branch, group in branches if branch is not None]
        return sum(parts[1:], start=parts[0])


class JoinMaps(nn.Module):
    """Joins inputs along the channels of maps of one size.

    Maps are resized; any other input is flattened and each of its numbers becomes a constant channel. Inputs
    `(n, *in_shapes[i])`, output `(n, channels, *size)`.

    >>> join = JoinMaps([(1, 28, 28), (10,)], (28, 28))
    >>> join(torch.zeros(5, 1, 28, 28), torch.zeros(5, 10)).shape, join.channels
    (torch.Size([5, 11, 28, 28]), 11)
    """

    def __init__(self, in_shapes: Sequence[Size], size: Extent) -> None:
        super().__init__()
        self.size = size
        self.channels = sum(shape[0] if is_map(shape) else prod(shape) for shape in in_shapes)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The inputs as channels of one map."""
        return torch.cat([resize(_as_map(x), self.size) for x in inputs], dim=1)


class JoinedConvolution(nn.Module):
    """A convolution of maps joined at the size of `out_shape`: `(n, *in_shapes[i])` to `(n, *out_shape)`.

    >>> JoinedConvolution([(8, 4, 4)], (64, 7, 7))(torch.zeros(5, 8, 4, 4)).shape
    torch.Size([5, 64, 7, 7])
    """

    def __init__(self, in_shapes: Sequence[Size], out_shape: Size, bias: bool = True) -> None:
        super().__init__()
        self.join = JoinMaps(in_shapes, extent(out_shape))
        self.convolution = convolution(self.join.channels, out_shape[0], bias=bias)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The convolved map."""
        y: Tensor = self.convolution(self.join(*inputs))
        return y


class Resize(nn.Module):
    """`resize` to a fixed size as a module: `(n, c, *any)` to `(n, c, *size)`.

    >>> Resize((7, 9))(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 3, 7, 9])
    """

    def __init__(self, size: Extent) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """The map `x` at the size."""
        return resize(x, self.size)

    def extra_repr(self) -> str:
        """The size, for the module's printed form."""
        return f"{self.size}"


def resize(x: Tensor, size: Extent) -> Tensor:
    """A map at exactly another size: nearest neighbours where it grows, means of areas where it shrinks.

    A map that was halved, with an odd side rounded up, grows back by doubling each pixel and cropping the last one.

    >>> resize(torch.tensor([[[[1.0, 2.0]]]]), (1, 4))
    tensor([[[[1., 1., 2., 2.]]]])
    >>> resize(torch.tensor([[[[1.0, 1.0, 2.0, 4.0]]]]), (1, 2))
    tensor([[[[1., 3.]]]])
    """
    height, width = x.shape[-2:]
    if (height, width) == size:
        return x
    grows = height <= size[0] and width <= size[1]
    return F.interpolate(x, size, mode="nearest" if grows else "area")


def convolution(
    in_channels: int, out_channels: int, *, kernel: int = 3, stride: Extent = (1, 1), bias: bool = True
) -> nn.Conv2d:
    """A convolution padded so that a map keeps its size, or at stride 2 comes out at half of it, rounded up.

    >>> convolution(1, 2, stride=(2, 2))(torch.zeros(5, 1, 7, 8)).shape
    torch.Size([5, 2, 4, 4])
    """
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=bias)


def resampling(source: Size, target: Size, *, kernel: int = 3, bias: bool = True) -> nn.Module:
    """A convolution from maps of one shape to maps of another: strided where it halves them, else after `Resize`.

    >>> resampling((1, 7, 7), (2, 4, 4))
    Conv2d(1, 2, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    >>> resampling((2, 4, 4), (1, 7, 7))(torch.zeros(5, 2, 4, 4)).shape
    torch.Size([5, 1, 7, 7])
    """
    if extent(target) == tuple(map(_halved, extent(source))):
        return convolution(source[0], target[0], kernel=kernel, stride=(2, 2), bias=bias)
    return nn.Sequential(Resize(extent(target)), convolution(source[0], target[0], kernel=kernel, bias=bias))


def _head(source: Size, out_shape: Size, levels: Levels) -> nn.Module:
    if is_map(out_shape):
        return resampling(source, out_shape)
    return MLP([source], out_shape, levels.hidden, levels.activation)


def _halved(side: int, floor: int = 1) -> int:
    return max(-(-side // 2), floor)


def _largest(shapes: Sequence[Size]) -> Extent:
    sizes = [(1, 1), *(extent(shape) for shape in shapes if is_map(shape))]
    return max(height for height, _ in sizes), max(width for _, width in sizes)


def _as_map(x: Tensor) -> Tensor:
    return x if x.ndim == 4 else flatten(x)[:, :, None, None]


def _image(role: str, shapes: Sequence[Size]) -> Size:
    image = next(filter(is_map, shapes), None)
    if image is None:
        raise UsageError(
            f"no image among the {role} shapes {listed(shapes)}: a net for images needs a shape (channels, height, "
            "width); reshape the data, or choose the net 'mlp'"
        )
    return image
