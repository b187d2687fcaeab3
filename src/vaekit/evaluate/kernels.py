"""Maximum mean discrepancy: how far apart two sets of draws are, by a kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.significance import exact
from vaekit.objectives import Kernel, mmd_squared

WIDTHS = 5
WIDEST = 4.0
FEWEST_BLOCKS = 10


def cubic(a: Tensor, b: Tensor) -> Tensor:
    """The polynomial kernel of KID, (a . b / d + 1)^3.

    >>> float(cubic(torch.ones(1, 2), torch.ones(1, 2)))
    8.0
    """
    return (a @ b.T / a.shape[1] + 1) ** 3


def gaussians(scale: Tensor) -> Kernel:
    """A mean of Gaussian kernels whose squared widths are 1/4, 1/2, 1, 2 and 4 times a squared length.

    >>> float(gaussians(torch.tensor(1.0))(torch.zeros(1, 2), torch.zeros(1, 2)))
    1.0
    """

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        narrower = torch.exp(-squared_distances(a, b) / (2 * WIDEST * scale))
        total = narrower.clone()
        for _ in range(WIDTHS - 1):
            total += narrower.square_()  # half the width
        return total / WIDTHS

    return kernel


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """The squared Euclidean distances of all pairs, `(n, m)`, through a product of matrices; give it float64."""
    squares = torch.addmm(b.square().sum(1), a, b.T, alpha=-2)
    return squares.add_(a.square().sum(1, keepdim=True)).clamp_(min=0)


def median_square(a: Tensor, b: Tensor, rows: int = 500) -> Tensor:
    """The median squared distance among draws of both kinds: the usual scale of a Gaussian kernel."""
    some = torch.cat([a[:rows], b[:rows]])
    return squared_distances(some, some)[*torch.triu_indices(len(some), len(some), 1)].median().clamp(min=1e-12)


def blocked_mmd(a: Tensor, b: Tensor, kernel: Kernel, block: int = 500) -> Estimate:
    """The squared MMD of `a` `(n, d)` and `b` `(m, d)`: unbiased, its standard error over independent blocks of rows.

    Rows are shuffled and parted into blocks of at most `block`, at least 10 where there are rows enough; the memory is
    that of one block.

    Raises `UsageError` where there are fewer than 2 rows of either.
    """
    fewest = min(len(a), len(b))
    if fewest < 2:
        raise UsageError(f"{len(a)} and {len(b)} rows to compare: a kernel needs at least 2 of each")
    size = max(2, min(block, fewest // FEWEST_BLOCKS))
    blocks = fewest // size
    pairs = zip(_blocks(a, blocks, size), _blocks(b, blocks, size), strict=True)
    return Estimate.mean_of(torch.stack([mmd_squared(of_a, of_b, kernel) for of_a, of_b in pairs]))


def _blocks(values: Tensor, blocks: int, size: int) -> tuple[Tensor, ...]:
    chosen = torch.randperm(len(values), device=values.device)[: blocks * size]
    blocks_of_rows: tuple[Tensor, ...] = exact(values[chosen]).split(size)
    return blocks_of_rows
