"""Pictures: what is drawn is what was given, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from report_pages import decoded

from vaekit.report.pictures import Fit, ImagePicture, VectorPicture, grid, line, picture_for, png, stack


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_decodes_to_the_very_pixels(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (13, 7, channels), dtype=np.uint8)
    assert np.array_equal(decoded(png(pixels)), pixels)


def test_a_grey_image_is_drawn_as_it_is() -> None:
    bytes_ = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    tile = ImagePicture().tile(bytes_ / 255)
    assert np.array_equal(tile[..., 0], bytes_[0].numpy())
    assert (tile[..., 1] == 255).all()


def test_a_colour_image_keeps_its_channels_apart_and_is_clipped() -> None:
    image = torch.stack([torch.full((4, 4), value) for value in (-0.5, 0.2, 1.7)])
    assert ImagePicture().tile(image)[2, 3].tolist() == [0, 51, 255, 255]


def test_an_image_with_alpha_keeps_its_own() -> None:
    image = torch.tensor([1.0, 0.0, 0.0, 0.4]).reshape(4, 1, 1)
    assert ImagePicture().tile(image)[0, 0].tolist() == [255, 0, 0, 102]


def test_a_large_image_is_averaged_down() -> None:
    checks = (torch.arange(256)[:, None] + torch.arange(128)).remainder(2).float()
    tile = ImagePicture().tile(checks[None])
    assert tile.shape == (64, 32, 2)
    assert np.isin(tile[..., 0], [127, 128]).all()


def test_the_bars_of_a_vector_reach_between_the_least_and_the_greatest_of_their_columns() -> None:
    x = torch.tensor([[0.0, -10.0, 5.0], [1.0, 10.0, 5.0], [0.5, 0.0, 5.0]])
    picture = VectorPicture.of(x)
    assert heights(picture, x[0]) == [1, 1, 1]
    assert heights(picture, x[1]) == [36, 36, 1]
    assert heights(picture, x[2]) == [18, 18, 1]
    assert heights(picture, torch.tensor([99.0, -99.0, 5.0])) == [36, 1, 1]


def heights(picture: VectorPicture, row: torch.Tensor) -> list[int]:
    """How many pixels the middle of each bar is high."""
    opaque = picture.tile(row)[..., 3] == 255
    width = opaque.shape[1] / len(row)
    return [int(opaque[:, int(width * (bar + 0.5))].sum()) for bar in range(len(row))]


def test_a_long_vector_fits_a_tile_of_the_same_size() -> None:
    assert VectorPicture.of(torch.rand(3, 5000)).tile(torch.rand(5000)).shape[1] < 80


def test_a_missing_value_has_no_bar() -> None:
    picture = VectorPicture.of(torch.tensor([[0.0, 1.0], [1.0, torch.nan], [1.0, 2.0]]))
    assert heights(picture, torch.tensor([1.0, torch.nan])) == [36, 1]


def test_pictures_are_chosen_by_shape() -> None:
    assert isinstance(picture_for(torch.zeros(2, 3, 8, 8)), ImagePicture)
    assert isinstance(picture_for(torch.zeros(2, 9)), VectorPicture)


def test_tiles_stand_where_they_belong() -> None:
    tiles = [np.full((2, 3, 2), value, np.uint8) for value in (1, 2, 3, 4, 5)]
    sheet = grid(tiles, columns=2, between_lines=4)
    assert sheet.shape == (3 * 2 + 2 * 4, 2 * 3 + 2, 2)
    corners = [[sheet[6 * down, 5 * across, 0] for across in range(2)] for down in range(3)]
    assert corners == [[1, 2], [3, 4], [5, 0]]
    assert not sheet[:, 3:5].any()
    assert not sheet[2:6].any()


def test_line_and_stack_differ_by_a_quarter_turn() -> None:
    tiles = [np.random.default_rng(seed).integers(0, 256, (4, 4, 2), dtype=np.uint8) for seed in range(3)]
    turned = stack([tile.swapaxes(0, 1) for tile in tiles])
    assert np.array_equal(line(tiles).swapaxes(0, 1), turned)


@pytest.mark.parametrize("side", [1, 8, 28, 32, 64])
@pytest.mark.parametrize("room", [680, 740])
def test_tiles_side_by_side_fit_the_page(side: int, room: int) -> None:
    fit = Fit.of(np.zeros((side, side, 2), np.uint8))
    assert fit.times * fit.across(room) * (side + 2) <= room
    assert fit.steps(room, 11) % 2 == 1
