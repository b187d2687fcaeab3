"""What a net sees of values some of which are missing."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class HolesSeen(nn.Module):
    """Values with 0 for what is missing (NaN), beside a mask that is 1 for what is there.

    `(n, C, *rest)` to `(n, 2 C, *rest)`: the values along the first event axis, then the mask. A 0 that was measured
    is thus told from one that stands for nothing. Source: Nazábal, Olmos, Ghahramani and Valera, 2020 (the zeros);
    Collier, Nazábal and Williams, 2020 (the mask).

    >>> HolesSeen()(torch.tensor([[3.0, torch.nan, 0.0]]))
    tensor([[3., 0., 0., 1., 0., 1.]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Values and mask."""
        missing = x.isnan()
        return torch.cat([x.masked_fill(missing, 0), (~missing).to(x)], dim=1)

    def written(self, reads: str) -> str:
        """The values and the mask, as a term."""
        return f"seen({reads})"
