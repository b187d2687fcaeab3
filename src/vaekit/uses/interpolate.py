"""Interpolate: the way from one example to another through the latent space."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaekit.common.registry import Registry
from vaekit.core import VAE, Context

Path = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From two ends `(*event)` and positions `(step,)` in [0, 1] to points `(step, *event)`."""


def linear(start: Tensor, end: Tensor, at: Tensor) -> Tensor:
    """The straight line (1 - t) a + t b.

    >>> import torch
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

    >>> import torch
    >>> middle = spherical(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5]))
    >>> round(float(middle.norm()), 6)
    1.0
    """
    lengths = start.norm(), end.norm()
    a, b = start / lengths[0], end / lengths[1]
    angle = torch.arccos((a * b).sum().clamp(-1, 1))
    if not torch.sin(angle) > 4 * torch.finfo(angle.dtype).eps ** 0.5:  # as near to 0 or pi as arccos can tell
        return linear(start, end, at)
    at = at.reshape(-1, *[1] * start.dim())
    direction = (torch.sin((1 - at) * angle) * a + torch.sin(at * angle) * b) / torch.sin(angle)
    along: Tensor = direction * ((1 - at) * lengths[0] + at * lengths[1])
    return along


def interpolate(model: VAE, starts: Context, ends: Context, steps: int, path: Path) -> Tensor:
    """The decoded ways from starts to ends, `(n, steps, *event)`; the codes of all latents go together.

    `starts` and `ends` hold each latent's codes, `(n, *event)`, and the conditions, which go in a straight line.
    """
    paths = {name: linear if name in model.declared else path for name in starts}
    ways = {name: _ways(starts[name], ends[name], steps, along) for name, along in paths.items()}
    n = len(next(iter(starts.values())))
    with torch.no_grad():
        means = [model.sample(steps, {name: way[row] for name, way in ways.items()}).mean for row in range(n)]
    return torch.stack(means)


def _ways(starts: Tensor, ends: Tensor, steps: int, path: Path) -> Tensor:
    at = torch.linspace(0, 1, steps, dtype=starts.dtype, device=starts.device)
    return torch.stack([path(start, end, at) for start, end in zip(starts, ends, strict=True)])


PATHS: Registry[Path] = Registry("path", {"spherical": spherical, "linear": linear})
