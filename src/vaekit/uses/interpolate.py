"""Interpolate: the way from one example to another through the latent space."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaekit.common.registry import Registry

Path = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From two ends `(*event)` and positions `(step,)` in [0, 1] to points `(step, *event)`."""


def linear(start: Tensor, end: Tensor, at: Tensor) -> Tensor:
    """The straight line (1 - t) a + t b.

    >>> linear(torch.zeros(1), torch.ones(1), torch.tensor([0.0, 0.25, 1.0])).flatten().tolist()
    [0.0, 0.25, 1.0]
    """
    at = at.reshape(-1, *[1] * start.dim())
    return (1 - at) * start + at * end


def spherical(start: Tensor, end: Tensor, at: Tensor) -> Tensor:
    r"""The great circle, with the norm going evenly from one end's to the other's.

    .. math:: \frac{\sin((1 - t) \omega)}{\sin \omega} \hat a + \frac{\sin(t \omega)}{\sin \omega} \hat b

    Points stay as far from the origin as draws of the prior are, which a straight line's middle does not.
    Ends in one line through the origin have no great circle of their own and get the straight line.

    Source: Shoemake, 1985; White, 2016.

    >>> spherical(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5])).norm()
    tensor(1.)
    """
    lengths = start.norm(), end.norm()
    a, b = start / lengths[0], end / lengths[1]
    angle = torch.arccos((a * b).sum().clamp(-1, 1))
    if not torch.sin(angle) > 1e-4:
        return linear(start, end, at)
    at = at.reshape(-1, *[1] * start.dim())
    direction = (torch.sin((1 - at) * angle) * a + torch.sin(at * angle) * b) / torch.sin(angle)
    along: Tensor = direction * linear(*lengths, at)
    return along


PATHS: Registry[Path] = Registry("path", {"spherical": spherical, "linear": linear})


def positions(steps: int, like: Tensor) -> Tensor:
    """`steps` even positions from 0 to 1."""
    return torch.linspace(0, 1, steps, dtype=like.dtype, device=like.device)
