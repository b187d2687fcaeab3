from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.data import Sprites, load_data, load_sprites, sprite_factors
from vaekit.data.sprites import REACH, SHAPES

LARGEST = 5
AREAS = {"square": 2.0, "ellipse": math.pi / 2, "heart": 3.6617 / 1.43**2}
"""In units of the squared radius; the heart's, before it is made smaller, is known from quadrature."""


def middle(image: Tensor) -> tuple[float, float]:
    """The centre of mass in pixels, across and down."""
    mass = image[0].double()
    places = torch.arange(image.shape[-1]).double() + 0.5
    return float((mass.sum(0) @ places) / mass.sum()), float((mass.sum(1) @ places) / mass.sum())


def one(shape: int = 0, scale: int = LARGEST, angle: int = 0, x: int = 16, y: int = 16) -> Tensor:
    return Sprites().render(torch.tensor([[shape, scale, angle, x, y]]))[0]


@pytest.mark.parametrize("shape", range(3))
@pytest.mark.parametrize("scale", range(6))
def test_a_sprite_has_the_area_of_its_shape_and_scale(shape: int, scale: int) -> None:
    radius = REACH * (0.5 + 0.1 * scale) * 256
    image = Sprites(side=256).render(torch.tensor([[shape, scale, 7, 16, 16]]))
    expected = list(AREAS.values())[shape] * radius**2
    assert float((image > 0).sum()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("shape", [0, 1])
def test_a_sprite_is_where_its_factors_say(shape: int) -> None:
    for x in (0, 10, 31):
        for y in (0, 21, 31):
            across, down = middle(one(shape, x=x, y=y))
            assert across == pytest.approx(64 * (REACH + (1 - 2 * REACH) * x / 31), abs=0.35)
            assert down == pytest.approx(64 * (REACH + (1 - 2 * REACH) * y / 31), abs=0.35)


@pytest.mark.parametrize("shape", range(3))
def test_no_sprite_is_cut_off(shape: int) -> None:
    factors = torch.cartesian_prod(
        torch.tensor([shape]), torch.tensor([LARGEST]), torch.arange(40), torch.tensor([0, 31]), torch.tensor([0, 31])
    )
    sizes = (Sprites().render(factors) > 0).sum((1, 2, 3)).double()
    assert float(sizes.min()) > 0.93 * float(sizes.max())


def test_a_quarter_of_a_turn_turns_the_pixels() -> None:
    """An odd number of positions puts the sprite in the middle of the image."""
    sprites = Sprites(positions=33)
    for shape, alike_after in ((0, 1), (1, 2), (2, 4)):
        turned = sprites.render(torch.tensor([[shape, LARGEST, 10 * turn, 16, 16] for turn in range(4)]))
        for turn in range(4):
            off = (turned[turn] != torch.rot90(turned[0], -turn, (1, 2))).sum()
            assert int(off) <= 4  # pixels whose centre lies on the edge
            is_alike = int((turned[turn] != turned[0]).sum()) <= 4
            assert is_alike == (turn % alike_after == 0)


def test_the_heart_has_its_tip_at_the_bottom() -> None:
    rows = (one(2)[0] > 0).sum(1)
    filled = rows.nonzero().flatten()
    assert int(rows[filled[-1]]) <= 4
    assert int(rows[filled[1]]) > 8
    assert torch.equal(one(2)[0, :, :32].sum() > 0, torch.tensor(True))


def test_numbers_and_factors_are_the_same_sprites() -> None:
    sprites = Sprites(side=8, angles=5, positions=4)
    factors = sprites.factors(torch.arange(len(sprites)))
    assert len(sprites) == 3 * 6 * 5 * 4 * 4
    assert len(factors.unique(dim=0)) == len(sprites)
    assert factors.amax(0).tolist() == [size - 1 for size in sprites.sizes]


def test_groups_agree_in_their_factor_and_in_no_other() -> None:
    """Each image is found again among all sprites, which with one angle are all different."""
    sprites = Sprites(angles=1, positions=5)
    factors = sprites.factors(torch.arange(len(sprites)))
    known = {image.numpy().tobytes(): row for image, row in zip(sprites.render(factors), factors, strict=True)}
    assert len(known) == len(sprites)
    for factor in (0, 1, 3, 4):
        with seeded(factor):
            groups = sprites.agreeing(factor, groups=40, size=6)
        found = torch.stack([torch.stack([known[image.numpy().tobytes()] for image in group]) for group in groups])
        alike = (found == found[:, :1]).all(1)
        assert alike[:, factor].all()
        others = [other for other in (0, 1, 3, 4) if other != factor]
        assert float(alike[:, others].double().mean()) < 0.05
        assert len(found[:, 0, factor].unique()) == sprites.sizes[factor]


def test_images_are_bits() -> None:
    assert set(one().unique().tolist()) == {0, 255}
    assert one().dtype == torch.uint8


def test_the_built_in_set_is_its_factors_drawn() -> None:
    splits = load_data("sprites")
    train, test = sprite_factors()
    assert splits.test is not None
    assert (len(splits.train), len(splits.test)) == (20_000, 2_000)
    assert len(torch.cat([train, test]).unique(dim=0)) == 22_000
    rows = torch.tensor([0, 1234, 19_999])
    assert torch.equal(splits.train.x[rows], Sprites().render(train[rows]))
    assert torch.equal(splits.test.x[:5], Sprites().render(test[:5]))
    assert splits.train.y is not None
    assert torch.equal(splits.train.y, train[:, 0])
    assert train.double().mean(0).tolist() == pytest.approx([1, 2.5, 19.5, 15.5, 15.5], rel=0.03)
    assert load_data(splits.source).train.x.shape == splits.train.x.shape


def test_every_shape_is_within_the_unit_disc() -> None:
    x, y = torch.meshgrid(torch.linspace(-2, 2, 1001), torch.linspace(-2, 2, 1001), indexing="xy")
    for inside in SHAPES.values():
        radius = (x.square() + y.square())[inside(x, y)].max().sqrt()
        assert 0.98 < float(radius) <= 1.0001


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (torch.zeros(2, 4).long(), r"\(2, 4\)"),
        (torch.zeros(2, 5), "float32"),
        (torch.tensor([[0, 0, 0, 0, 0], [0, 6, 0, 0, 0]]), "scale of row 1 is 6: choose below 6"),
        (torch.tensor([[0, 0, -1, 0, 0]]), "angle of row 0 is -1"),
    ],
)
def test_factors_out_of_range_are_refused(factors: Tensor, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Sprites().render(factors)


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="positions of 0"):
        Sprites(positions=0)
    assert load_sprites().licence == "Apache-2.0"
