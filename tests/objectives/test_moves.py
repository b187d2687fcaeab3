"""Moves: each kind by what it leaves alone, and by how far it goes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.objectives import SmallMoves

SIZE, MANY = 33, 600
Y, X = torch.meshgrid(*[torch.linspace(-16, 16, SIZE).double()] * 2, indexing="ij")
STILL = {"turn": 0.0, "slant": 0.0, "stretch": 0.0, "shift": 0.0}


def blob(y: float = 0.0, x: float = 0.0, width: float = 2.5) -> Tensor:
    return torch.exp(-((Y - y) ** 2 + (X - x) ** 2) / (2 * width**2))


def moved(image: Tensor, **most: float) -> Tensor:
    """Many moves of one image, `(n, H, W)`."""
    return SmallMoves(**{**STILL, **most})(image.expand(MANY, 1, SIZE, SIZE))[:, 0]


def centres(images: Tensor) -> Tensor:
    """Where images have their mass, in pixels from the middle, `(n, 2)`."""
    mass = images.sum((1, 2))
    return torch.stack([(images * axis).sum((1, 2)) / mass for axis in (Y, X)], 1)


def spread(images: Tensor) -> Tensor:
    """The variances of their mass, `(n, 2)`."""
    centre = centres(images)
    off = [(images * (axis - centre[:, at, None, None]) ** 2).sum((1, 2)) for at, axis in enumerate((Y, X))]
    return torch.stack(off, 1) / images.sum((1, 2)).unsqueeze(1)


def assert_uniform(values: Tensor, most: float) -> None:
    """Uniform from -most to most: its ends, its mean and its second moment within five standard errors."""
    assert values.abs().max() <= 1.06 * most
    assert values.mean().abs() < 5 * most / math.sqrt(3 * MANY)
    second = values.square()
    assert (second.mean() - most**2 / 3).abs() < 5 * second.std() / math.sqrt(MANY) + 0.03 * most**2


def test_a_shift_moves_the_mass_along_both_axes_by_a_share_of_half_the_image() -> None:
    for at in range(2):
        assert_uniform(centres(moved(blob(), shift=0.2))[:, at], 0.2 * SIZE / 2)


def test_a_turn_leaves_what_is_round_alone_and_turns_the_rest() -> None:
    torch.testing.assert_close(moved(blob(), turn=0.5), blob().expand(MANY, SIZE, SIZE), rtol=0, atol=0.04)
    turned = centres(moved(blob(x=8.0), turn=0.5))
    assert_uniform(torch.atan2(turned[:, 0], turned[:, 1]), 0.5)
    torch.testing.assert_close(turned.norm(dim=1), torch.full((MANY,), 8.0).double(), rtol=0.02, atol=0.0)


def test_a_slant_moves_the_top_and_the_bottom_apart_and_keeps_the_height() -> None:
    top = centres(moved(blob(y=-8.0), slant=0.3))
    torch.testing.assert_close(top[:, 0], torch.full((MANY,), -8.0).double(), rtol=0, atol=0.05)
    assert_uniform(top[:, 1], 0.3 * 8)


def test_a_stretch_is_of_each_axis_by_itself() -> None:
    wider = 1 / (spread(moved(blob(), stretch=0.2)) / spread(blob().unsqueeze(0))).sqrt() - 1
    for at in range(2):
        assert_uniform(wider[:, at], 0.2)
    assert torch.corrcoef(wider.T)[0, 1].abs() < 5 / math.sqrt(MANY)


def test_what_makes_no_move_is_refused() -> None:
    with pytest.raises(UsageError, match="0 or more"):
        SmallMoves(turn=-0.1)
    with pytest.raises(UsageError, match="below 1"):
        SmallMoves(stretch=1.0)
