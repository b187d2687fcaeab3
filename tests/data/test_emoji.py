"""Emoji: each is what its factors say, no two of them are alike, and measures are right on them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.data import Emoji, emoji_factors, load_data
from vaekit.data.emoji import BACKGROUNDS, EYES, FACES, MOUTHS, REACH, SMALLEST_FACE
from vaekit.evaluate import (
    beta_vae_score,
    dci,
    explicitness,
    factor_vae_score,
    modularity,
    mutual_information_gap,
    separated_attribute_predictability,
)

FEW = Emoji(side=24, scales=2, tilts=3, positions=2)
MIDDLE = 2
FACTORS = {"background": 0, "face": 0, "eyes": 0, "mouth": 0, "scale": 3, "tilt": MIDDLE, "x": 0, "y": 0}


def one(side: int = 48, **factors: int) -> Tensor:
    return Emoji(side=side).render(torch.tensor([list((FACTORS | factors).values())]))[0].double() / 255


def face_of(image: Tensor) -> Tensor:
    """The pixels that are not of the background, which the corner shows."""
    return (image - image[:, :1, :1]).abs().sum(0) > 0.02


def middle(mask: Tensor) -> tuple[float, float]:
    """The middle of a mask's extent in units of the side, across and down."""
    rows, columns = (mask.any(axis).nonzero().flatten().double() + 0.5 for axis in (1, 0))
    side = mask.shape[0]
    return float((columns[0] + columns[-1]) / 2 / side), float((rows[0] + rows[-1]) / 2 / side)


def test_factors_make_the_image_and_all_images_differ() -> None:
    every = FEW.factors(torch.arange(len(FEW)))
    assert len(FEW) == 4 * 6 * 6 * 6 * 2 * 3 * 2 * 2
    images = FEW.render(every).flatten(1)
    assert torch.equal(FEW.render(every[:50]).flatten(1), images[:50])
    assert len(images.unique(dim=0)) == len(FEW)


@pytest.mark.parametrize("factor", range(8))
def test_a_step_in_one_factor_is_seen(factor: int) -> None:
    """At the size that is loaded, even where the face is smallest."""
    emoji = Emoji()
    with seeded(factor):
        here = emoji.draw(60)
        here[:, 4] = 0
        here[:, factor] = torch.randint(emoji.sizes[factor] - 1, (60,))
    there = here.clone()
    there[:, factor] += 1
    changed = (emoji.render(here).int() - emoji.render(there).int()).abs().amax(1) > 20
    assert int(changed.sum((1, 2)).min()) >= 8


def test_colours_are_where_they_belong() -> None:
    for number, colour in enumerate(BACKGROUNDS.values()):
        assert one(background=number)[:, 0, -1].tolist() == pytest.approx(colour, abs=1 / 255)
    for number, colour in enumerate(FACES.values()):
        image = one(side=96, face=number)
        chin = image[:, round(96 * (REACH + 0.88 * REACH)), round(96 * REACH)]
        assert chin.tolist() == pytest.approx(colour, abs=0.01)


@pytest.mark.parametrize("scale", range(4))
def test_a_face_has_the_area_of_its_scale(scale: int) -> None:
    radius = 192 * REACH * (SMALLEST_FACE + (1 - SMALLEST_FACE) * scale / 3)
    found = float(face_of(one(side=192, scale=scale)).sum())
    assert found == pytest.approx(torch.pi * radius**2, rel=0.02)


def test_a_face_is_where_its_factors_say_and_is_never_cut_off() -> None:
    for x in (0, 2, 5):
        for y in (0, 4, 5):
            across, down = middle(face_of(one(x=x, y=y, background=3)))
            assert across == pytest.approx(REACH + (1 - 2 * REACH) * x / 5, abs=0.6 / 48)
            assert down == pytest.approx(REACH + (1 - 2 * REACH) * y / 5, abs=0.6 / 48)
    emoji = Emoji()
    factors = torch.cartesian_prod(
        *(torch.tensor(values) for values in ([3], [0], [0], [0], [3], [0, 4], [0, 5], [0, 5]))
    )
    areas = torch.stack([face_of(image / 255.0).sum() for image in emoji.render(factors)]).double()
    assert float(areas.max() - areas.min()) < 0.03 * float(areas.max())


def test_opposite_tilts_mirror_a_face_that_is_alike_on_both_sides() -> None:
    middle_of_the_image = {"x": 2, "y": 2}
    emoji = Emoji(positions=5)
    for eyes in ("dots", "staring", "laughing", "sleeping", "loving"):
        for mouth in range(len(MOUTHS)):
            looks = FACTORS | middle_of_the_image | {"eyes": list(EYES).index(eyes), "mouth": mouth}
            left, right = (emoji.render(torch.tensor([list((looks | {"tilt": tilt}).values())])) for tilt in (0, 4))
            assert int((left.int() - right.flip(-1).int()).abs().max()) <= 1
            assert int((left.int() - right.int()).abs().max()) > 50
    winks = one(eyes=list(EYES).index("winking"))
    assert float((winks - winks.flip(-1)).abs().max()) > 0.5


def test_eyes_are_above_the_mouth() -> None:
    same = one(side=96, x=2, y=2)
    for factor, kinds, upper in (("eyes", EYES, True), ("mouth", MOUTHS, False)):
        for kind in range(1, len(kinds)):
            changed = (one(side=96, x=2, y=2, **{factor: kind}) - same).abs().sum(0) > 0.05
            rows = changed.any(1).nonzero().flatten().double()
            centre = 96 * (REACH + (1 - 2 * REACH) * 2 / 5)
            assert float(rows.max() if upper else rows.min()) * (1 if upper else -1) < centre * (1 if upper else -1) + 5


def test_groups_agree_in_their_factor_and_differ_in_the_others() -> None:
    known, found = FACES_ALONE.factors(torch.arange(len(FACES_ALONE))), looked_up(FACES_ALONE)
    for factor in range(4):
        with seeded(factor):
            groups = FACES_ALONE.agreeing(factor, groups=30, size=4)
        rows = torch.stack([known[found[key(image)]] for image in groups.flatten(0, 1)]).reshape(30, 4, 8)
        apart = (rows != rows[:, :1]).any(1)
        assert not apart[:, factor].any()
        assert apart[:, [other for other in range(4) if other != factor]].any(0).all()


def test_measures_are_at_their_best_on_the_true_factors() -> None:
    train = emoji_factors()[0][:6000]
    codes = train.double()
    with seeded(0):
        found = dci(codes, train)
        assert mutual_information_gap(codes, train).value == pytest.approx(1.0, abs=0.02)
        assert modularity(codes, train).value > 0.98
        assert separated_attribute_predictability(codes, train).value == pytest.approx(1.0, abs=0.02)
        classes = torch.cat([one_hot(column).double() for column in train.T], dim=1)
        assert explicitness(classes, train).value > 0.98
    assert min(found.disentanglement, found.completeness) > 0.98


def test_measures_by_intervention_are_at_their_best_on_the_true_factors() -> None:
    """The factors are read off the images again: by looking each one up."""
    known, found = FACES_ALONE.factors(torch.arange(len(FACES_ALONE))), looked_up(FACES_ALONE)

    def encode(images: Tensor) -> Tensor:
        return known[[found[key(image)] for image in images]].double()

    with seeded(0):
        assert factor_vae_score(Looks(), encode, votes=200).value == 1.0
        assert beta_vae_score(Looks(), encode, votes=200, pairs=8).value > 0.95


FACES_ALONE = Emoji(side=24, scales=1, tilts=1, positions=1)


def key(image: Tensor) -> bytes:
    return bytes(image.flatten().tolist())


def looked_up(emoji: Emoji) -> dict[bytes, int]:
    """The number of each image."""
    return {key(image): row for row, image in enumerate(emoji.render(emoji.factors(torch.arange(len(emoji)))))}


class Looks:
    """The factors of a face's looks, those of its place left out, as data for measures."""

    names = ("background", "face", "eyes", "mouth")

    def agreeing(self, factor: int, groups: int, size: int) -> Tensor:
        return FACES_ALONE.agreeing(factor, groups, size)


def test_the_data_set_is_always_the_same_and_labelled_by_mouths() -> None:
    splits, (train, test) = load_data("emoji"), emoji_factors()
    assert (len(splits.train), len(test)) == (10_000, 2_000)
    assert len(torch.cat([train, test]).unique(dim=0)) == 12_000
    rows = torch.tensor([0, 1234, 9_999])
    assert torch.equal(splits.train.x[rows], Emoji().render(train[rows]))
    assert splits.train.y is not None
    assert torch.equal(splits.train.y, train[:, 3])
    for column, size in enumerate(Emoji().sizes):
        share = train[:, column].bincount(minlength=size).double() / len(train)
        assert (share - 1 / size).abs().max() < 5 * (1 / size / len(train)) ** 0.5
    assert (splits.source, splits.licence) == ("emoji", "Apache-2.0")


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (torch.zeros(2, 5).long(), r"\(2, 5\): give whole numbers \(n, 8\)"),
        (torch.zeros(2, 8), "float32"),
        (torch.tensor([[0, 0, 0, 6, 0, 0, 0, 0]]), "mouth of row 0 is 6: choose below 6"),
    ],
)
def test_factors_out_of_range_are_refused(factors: Tensor, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Emoji().render(factors)


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="emoji with tilts of 0"):
        Emoji(tilts=0)
    with pytest.raises(UsageError, match="side of 8: choose at least 16"):
        Emoji(side=8)
