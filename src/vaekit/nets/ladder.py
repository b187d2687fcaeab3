"""The nets of a ladder: what carries its state from rung to rung, and what reads latents off it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vaekit.nets.pyramid import JoinedConvolution, Resize, convolution
from vaekit.nets.shapes import Size, check_shapes, check_widths, extent


class Bottleneck(nn.Module):
    """A residual block on maps, 1x1 - 3x3 - 3x3 - 1x1 with SiLU before each, narrow in the middle.

    Its last convolution starts `scale` times as large as usual: with 1 / sqrt(depth), the sum over a deep stack stays
    of one size. Shape kept, `(n, channels, height, width)`. Source: Child, 2021.

    >>> import torch
    >>> h = torch.randn(5, 32, 7, 7)
    >>> Bottleneck(32, scale=0.5)(h).shape
    torch.Size([5, 32, 7, 7])
    """

    def __init__(self, channels: int, scale: float = 1.0) -> None:
        super().__init__()
        narrow = max(1, channels // 2)
        last = convolution(narrow, channels, kernel=1)
        last.weight.data.mul_(scale)
        self.branch = nn.Sequential(
            nn.SiLU(),
            convolution(channels, narrow, kernel=1),
            nn.SiLU(),
            convolution(narrow, narrow),
            nn.SiLU(),
            convolution(narrow, narrow),
            nn.SiLU(),
            last,
        )

    def forward(self, h: Tensor) -> Tensor:
        correction: Tensor = self.branch(h)
        return h + correction


class Tower(nn.Module):
    """From joined maps to maps of another shape: a convolution, bottlenecks, a last convolution.

    Inputs `(n, *in_shapes[i])` are resized to the output's size and joined; output `(n, *out_shape)`. `quiet` starts
    the last convolution at zero, so that whatever reads the output starts where 0 puts it.

    >>> import torch
    >>> head = Tower([(64, 7, 7), (64, 7, 7)], (40, 7, 7), width=64, quiet=True)
    >>> float(head(torch.randn(5, 64, 7, 7), torch.randn(5, 64, 7, 7)).detach().abs().max())
    0.0
    """

    def __init__(
        self,
        in_shapes: Sequence[Size],
        out_shape: Size,
        width: int,
        blocks: int = 1,
        scale: float = 1.0,
        quiet: bool = False,
    ) -> None:
        super().__init__()
        check_shapes(in_shapes, out_shape)
        check_widths("width", [width])
        last = convolution(width, out_shape[0])
        if quiet:
            nn.init.zeros_(last.weight)
        self.enter = JoinedConvolution(in_shapes, (width, *extent(out_shape)))
        self.blocks = nn.Sequential(*(Bottleneck(width, scale) for _ in range(blocks)))
        self.leave = nn.Sequential(nn.SiLU(), last)
        if quiet and last.bias is not None:
            nn.init.zeros_(last.bias)

    def forward(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.leave(self.blocks(self.enter(*inputs)))
        return output


class Absorb(nn.Module):
    """The ladder's next state, of the state `s` and the latent `z` just drawn: a bottleneck of `s + W z`.

    The state keeps its own way through, whatever the depth. States `(n, *state)`, latents `(n, *latent)` of the same
    height and width.

    >>> import torch
    >>> Absorb((64, 7, 7), (20, 7, 7))(torch.zeros(5, 64, 7, 7), torch.zeros(5, 20, 7, 7)).shape
    torch.Size([5, 64, 7, 7])
    """

    def __init__(self, state: Size, latent: Size, scale: float = 1.0) -> None:
        super().__init__()
        check_shapes([state, latent], state)
        self.enter = convolution(latent[0], state[0], kernel=1)
        self.block = Bottleneck(state[0], scale)

    def forward(self, state: Tensor, latent: Tensor) -> Tensor:
        absorbed: Tensor = self.block(state + self.enter(latent))
        return absorbed


class Grow(nn.Module):
    """A state at the size of the next rung: pixels repeated, then a bottleneck.

    >>> import torch
    >>> Grow((64, 7, 7), (64, 14, 14))(torch.zeros(5, 64, 7, 7)).shape
    torch.Size([5, 64, 14, 14])
    """

    def __init__(self, source: Size, target: Size, scale: float = 1.0) -> None:
        super().__init__()
        check_shapes([source], target)
        widen = [] if source[0] == target[0] else [convolution(source[0], target[0], kernel=1)]
        self.grow = nn.Sequential(*widen, Resize(extent(target)), Bottleneck(target[0], scale))

    def forward(self, state: Tensor) -> Tensor:
        grown: Tensor = self.grow(state)
        return grown
