"""Residual nets for images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.nets.parts import Activation, Normaliser, optional
from vaekit.nets.pyramid import Levels, convolution


class ResidualBlock(nn.Module):
    """A pre-activation residual block on maps, `h + f(h)`, that starts as the identity.

    `f` is twice normalisation, activation, 3x3 convolution; the last convolution starts at zero, so a deep net starts
    as a shallow one, and the other weights of `f` get their first gradient after one step. With a normalisation the
    convolutions have no bias, because it brings its own. Shape kept, `(n, channels, height, width)`. Sources: He,
    Zhang, Ren and Sun, 2016 (pre-activation); Zhang, Dauphin and Ma, 2019 (zero start).

    >>> import torch
    >>> h = torch.randn(5, 32, 7, 7)
    >>> torch.equal(ResidualBlock(32)(h), h)
    True
    """

    def __init__(
        self, channels: int, activation: Activation = nn.SiLU, normalisation: Normaliser | None = None
    ) -> None:
        super().__init__()
        first, last = (convolution(channels, channels, bias=normalisation is None) for _ in range(2))
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.branch = nn.Sequential(
            *optional(normalisation, channels),
            activation(),
            first,
            *optional(normalisation, channels),
            activation(),
            last,
        )

    def forward(self, h: Tensor) -> Tensor:
        """The map plus the branch's correction of it."""
        correction: Tensor = self.branch(h)
        return h + correction


def check_blocks(blocks: int) -> None:
    """Raise `UsageError` for a level without residual blocks.

    >>> check_blocks(0)
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: blocks = 0 makes no residual net: give each level at least 1 block
    """
    if blocks < 1:
        raise UsageError(f"blocks = {blocks} makes no residual net: give each level at least 1 block")


def residual_levels(
    channels: Sequence[int] = (32, 64),
    blocks: int = 2,
    activation: Activation = nn.SiLU,
    normalisation: Normaliser | None = None,
) -> Levels:
    """The levels of a residual net: `blocks` residual blocks on the maps of each of `channels`.

    Raises `UsageError` for a width of 0 and no blocks.

    >>> import torch
    >>> from vaekit.nets import Down, Up
    >>> levels = residual_levels((32, 64), blocks=1)
    >>> Down([(3, 32, 32)], (40, 8, 8), levels)(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 40, 8, 8])
    >>> Up([(20,)], (3, 32, 32), levels)(torch.zeros(5, 20)).shape
    torch.Size([5, 3, 32, 32])
    """
    check_blocks(blocks)

    def body(width: int) -> nn.Module:
        residual = (ResidualBlock(width, activation, normalisation) for _ in range(blocks))
        return nn.Sequential(*residual, *optional(normalisation, width), activation())

    return Levels(channels, body, bias=normalisation is None)
