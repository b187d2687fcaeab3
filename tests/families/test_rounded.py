"""Counts that are rounded from numbers: their gradient where a warp knows no number below 0."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import AffineTransform, ExpTransform, Normal

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


@pytest.mark.parametrize("size", [10.0, 1e3, 1e6, 1e7, 1e8])
def test_large_counts_keep_their_masses_and_slopes_in_single_precision(size: float) -> None:
    """Of values from the law itself: about -1/2 - log(0.2 size sqrt(2 pi)), and no slope by the scale on the whole."""
    values = (size * (1 + 0.2 * torch.randn(4000))).round().clamp(min=1)
    of = {dtype: _standardised(values.to(dtype), size) for dtype in (torch.float32, torch.float64)}
    (found, slope), (exact, exact_slope) = of[torch.float32], of[torch.float64]
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=3e-3)
    torch.testing.assert_close(slope.double(), exact_slope, rtol=0, atol=5e-3)


def _standardised(values: torch.Tensor, size: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean log-mass of counts rounded from N(size, 0.2 size), and its slope by the logarithm of the scale."""
    log_scale = torch.zeros(1, dtype=values.dtype, requires_grad=True)
    law = Warped(Normal(torch.zeros(1, dtype=values.dtype), log_scale.exp()), [AffineTransform(size, 0.2 * size)])
    mean = Rounded(law).log_prob(values).mean()
    (slope,) = torch.autograd.grad(mean, log_scale)
    return mean.detach(), slope
