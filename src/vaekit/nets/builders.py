"""Builders: one choice of architecture, from which both nets of a VAE are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from vaekit.common.registry import Registry
from vaekit.nets.conv import conv_levels
from vaekit.nets.mlp import MLP, GatedLinear, Shortcut
from vaekit.nets.parts import ACTIVATIONS, NORMALISATIONS, Activation, Normaliser
from vaekit.nets.pyramid import Down, Levels, Up
from vaekit.nets.resnet import check_blocks, residual_levels
from vaekit.nets.shapes import Size, check_widths


class NetBuilder(Protocol):
    """Makes the two nets of a VAE, once the shapes of data, latents and parameters are known.

    The nets take inputs `(n, *in_shapes[i])` and return `(n, *out_shape)`.

    >>> builder: NetBuilder = Dense(hidden=(400,))
    >>> encoder, decoder = builder.down([(784,)], (40,)), builder.up([(20,)], (784,))
    """

    def down(self, in_shapes: Sequence[Size], out_shape: Size) -> nn.Module:
        """A net from data to the parameters of a posterior."""
        ...

    def up(self, in_shapes: Sequence[Size], out_shape: Size) -> nn.Module:
        """A net from latents to the parameters of a likelihood."""
        ...


@dataclass(frozen=True)
class Dense:
    """Builds MLPs; `up` has the hidden widths of `down` in reverse.

    The default is the net of Kingma and Welling's MNIST example, 784-400-20, as PyTorch's examples have it.
    `hidden=()` makes affine nets. Names are those of `ACTIVATIONS` and `NORMALISATIONS`. Raises `UsageError` for an
    unknown name and a width of 0.

    >>> Dense(hidden=(300, 100), activation="tanh").up([(20,)], (784,)).layers
    Sequential(
      (0): Linear(in_features=20, out_features=100, bias=True)
      (1): Tanh()
      (2): Linear(in_features=100, out_features=300, bias=True)
      (3): Tanh()
      (4): Linear(in_features=300, out_features=784, bias=True)
    )
    """

    hidden: tuple[int, ...] = (400,)
    activation: str = "relu"
    normalisation: str = "none"

    def __post_init__(self) -> None:
        check_widths("hidden", self.hidden)
        _on_vectors(self.activation, self.normalisation)

    def down(self, in_shapes: Sequence[Size], out_shape: Size) -> MLP:
        """An MLP with the hidden layers in order."""
        return self._mlp(in_shapes, out_shape, self.hidden)

    def up(self, in_shapes: Sequence[Size], out_shape: Size) -> MLP:
        """An MLP with the hidden layers in reverse."""
        return self._mlp(in_shapes, out_shape, self.hidden[::-1])

    def _mlp(self, in_shapes: Sequence[Size], out_shape: Size, hidden: Sequence[int]) -> MLP:
        return MLP(in_shapes, out_shape, hidden, *_on_vectors(self.activation, self.normalisation))


@dataclass(frozen=True)
class Gated:
    """Builds MLPs of `GatedLinear` layers, the nets of the VampPrior (Tomczak and Welling, 2018).

    >>> Gated(hidden=(300,)).down([(784,)], (80,)).layers
    Sequential(
      (0): GatedLinear(...)
      (1): Identity()
      (2): Linear(in_features=300, out_features=80, bias=True)
    )
    """

    hidden: tuple[int, ...] = (300, 300)

    def __post_init__(self) -> None:
        check_widths("hidden", self.hidden)

    def down(self, in_shapes: Sequence[Size], out_shape: Size) -> MLP:
        """A gated MLP with the hidden layers in order."""
        return MLP(in_shapes, out_shape, self.hidden, nn.Identity, linear=GatedLinear)

    def up(self, in_shapes: Sequence[Size], out_shape: Size) -> MLP:
        """A gated MLP with the hidden layers in reverse."""
        return MLP(in_shapes, out_shape, self.hidden[::-1], nn.Identity, linear=GatedLinear)


@dataclass(frozen=True)
class WithShortcut:
    """Builds MLPs with a `Shortcut`: a VAE that starts as a linear one, for tables that are not far from linear.

    >>> builder = WithShortcut(hidden=(64,))
    >>> builder.down([(30,)], (2, 5)).affine.layers
    Sequential(
      (0): Linear(in_features=30, out_features=10, bias=True)
    )
    """

    hidden: tuple[int, ...] = (128, 128)
    activation: str = "silu"
    normalisation: str = "none"

    def __post_init__(self) -> None:
        self._dense()

    def down(self, in_shapes: Sequence[Size], out_shape: Size) -> Shortcut:
        """An MLP with the hidden layers in order, and its shortcut."""
        return Shortcut(self._dense().down(in_shapes, out_shape), in_shapes)

    def up(self, in_shapes: Sequence[Size], out_shape: Size) -> Shortcut:
        """An MLP with the hidden layers in reverse, and its shortcut."""
        return Shortcut(self._dense().up(in_shapes, out_shape), in_shapes)

    def _dense(self) -> Dense:
        return Dense(self.hidden, self.activation, self.normalisation)


class OfLevels(ABC):
    """Builds nets for images out of levels, whose kind says what is done on the maps of each."""

    @abstractmethod
    def levels(self) -> Levels:
        """The levels of both nets."""

    def down(self, in_shapes: Sequence[Size], out_shape: Size) -> Down:
        """A net from the image among the inputs."""
        return Down(in_shapes, out_shape, self.levels())

    def up(self, in_shapes: Sequence[Size], out_shape: Size) -> Up:
        """A net to an image."""
        return Up(in_shapes, out_shape, self.levels())


@dataclass(frozen=True)
class Convolutional(OfLevels):
    """Builds convolutional nets: one halving of the image for each of `channels`, then dense layers `hidden`.

    Names are those of `ACTIVATIONS` and `NORMALISATIONS`. Raises `UsageError` for an unknown name and a width of 0;
    its nets raise it where there is no image.

    >>> import torch
    >>> decoder = Convolutional(channels=(16, 32)).up([(20,)], (1, 28, 28))
    >>> decoder(torch.zeros(5, 20)).shape
    torch.Size([5, 1, 28, 28])
    """

    channels: tuple[int, ...] = (32, 64)
    hidden: tuple[int, ...] = ()
    activation: str = "relu"
    normalisation: str = "none"

    def __post_init__(self) -> None:
        check_widths("channels", self.channels)
        check_widths("hidden", self.hidden)
        _on_maps(self.activation, self.normalisation)

    def levels(self) -> Levels:
        return conv_levels(self.channels, self.hidden, *_on_maps(self.activation, self.normalisation))


@dataclass(frozen=True)
class Residual(OfLevels):
    """Builds residual nets: one halving of the image, then `blocks` residual blocks, for each of `channels`.

    Names are those of `ACTIVATIONS` and `NORMALISATIONS`. Raises `UsageError` for an unknown name, a width of 0 and no
    blocks; its nets raise it where there is no image.

    >>> import torch
    >>> encoder = Residual(channels=(16, 32), blocks=1, normalisation="group").down([(1, 28, 28)], (40,))
    >>> encoder(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 40])
    """

    channels: tuple[int, ...] = (32, 64)
    blocks: int = 2
    activation: str = "silu"
    normalisation: str = "none"

    def __post_init__(self) -> None:
        check_widths("channels", self.channels)
        check_blocks(self.blocks)
        _on_maps(self.activation, self.normalisation)

    def levels(self) -> Levels:
        return residual_levels(self.channels, self.blocks, *_on_maps(self.activation, self.normalisation))


NETS: Registry[Callable[..., NetBuilder]] = Registry(
    "net", {"mlp": Dense, "shortcut": WithShortcut, "gated": Gated, "conv": Convolutional, "resnet": Residual}
)
"""Builder classes by name."""


def _on_vectors(activation: str, normalisation: str) -> tuple[Activation, Normaliser | None]:
    return ACTIVATIONS[activation], NORMALISATIONS[normalisation].vector


def _on_maps(activation: str, normalisation: str) -> tuple[Activation, Normaliser | None]:
    return ACTIVATIONS[activation], NORMALISATIONS[normalisation].map
