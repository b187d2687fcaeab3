"""Maximum mean discrepancy: how far apart two sets of draws are, by a kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.significance import exact

Kernel = Callable[[Tensor, Tensor], Tensor]
"""From `(n, d)` and `(m, d)` to the kernel of every pair, `(n, m)`."""

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
    squares = a.square().sum(1, keepdim=True) - 2 * a @ b.T + b.square().sum(1)
    return squares.clamp(min=0)


def median_square(a: Tensor, b: Tensor, rows: int = 500) -> Tensor:
    """The median squared distance among draws of both kinds: the usual scale of a Gaussian kernel."""
    some = torch.cat([a[:rows], b[:rows]])
    return squared_distances(some, some)[*torch.triu_indices(len(some), len(some), 1)].median().clamp(min=1e-12)


def mmd_squared(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    r"""The unbiased estimate of :math:`MMD^2 = E k(a, a') + E k(b, b') - 2 E k(a, b)`; near 0 it may be negative.

    Source: Gretton et al., 2012.

    >>> float(mmd_squared(torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [1.0]]), lambda a, b: a @ b.T))
    1.0
    """
    return _off_diagonal_mean(kernel(a, a)) + _off_diagonal_mean(kernel(b, b)) - 2 * kernel(a, b).mean()


def _off_diagonal_mean(pairs: Tensor) -> Tensor:
    n = len(pairs)
    return (pairs.sum() - pairs.diagonal().sum()) / (n * (n - 1))


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
    return Estimate.mean_of(
        torch.stack(
            [
                mmd_squared(of_a, of_b, kernel)
                for of_a, of_b in zip(_blocks(a, blocks, size), _blocks(b, blocks, size), strict=True)
            ]
        )
    )


def _blocks(values: Tensor, blocks: int, size: int) -> tuple[Tensor, ...]:
    chosen = torch.randperm(len(values), device=values.device)[: blocks * size]
    blocks_of_rows: tuple[Tensor, ...] = exact(values[chosen]).split(size)
    return blocks_of_rows
