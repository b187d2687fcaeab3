"""Counts that are rounded from numbers: their gradient where a warp knows no number below 0."""

from __future__ import annotations

import torch
from torch.distributions import ExpTransform, Normal

from vaekit.families.columns.cells import Rounded, Warped


def test_a_count_of_0_has_a_gradient_behind_a_logarithm() -> None:
    """P(0) = Phi((log(1/2) - loc) / scale), and so its slopes by both, by differences."""
    loc, scale = (torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (1.0, 0.5))

    def mass(loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return torch.special.log_ndtr((torch.tensor(0.5).double().log() - loc) / scale).sum()

    rounded = Rounded(Warped(Normal(loc, scale), [ExpTransform()]))
    found = rounded.log_prob(torch.zeros(1).double()).sum()
    torch.testing.assert_close(found, mass(loc, scale))
    torch.testing.assert_close(
        torch.autograd.grad(found, (loc, scale)), torch.autograd.grad(mass(loc, scale), (loc, scale))
    )
