"""Emoji: round faces in colour, of known looks, tilt, scale and place, drawn when they are asked for.

No font is needed: the faces are vaekit's own. Like sprites they are data for measures of disentanglement, with colours
and with factors that have no order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from vaekit.data.dataset import Dataset, Splits
from vaekit.data.factors import FactorImages, require_at_least

REACH = 0.37
"""The radius of the largest face, in units of the image's side."""
SMALLEST_FACE = 0.7
"""The radius of the smallest face, in units of the largest."""
STEEPEST = math.radians(30)
TRAINING_ROWS, TEST_ROWS = 10_000, 2_000

Colour = tuple[float, float, float]
INK: Colour = (0.24, 0.15, 0.12)
WHITE: Colour = (1.0, 1.0, 1.0)
TONGUE: Colour = (0.95, 0.42, 0.47)
LOVE: Colour = (0.86, 0.10, 0.22)

BACKGROUNDS: Mapping[str, Colour] = {
    "snow": (0.96, 0.96, 0.97),
    "sky": (0.72, 0.87, 0.96),
    "sand": (0.95, 0.88, 0.74),
    "night": (0.17, 0.19, 0.29),
}
FACES: Mapping[str, Colour] = {
    "yellow": (1.00, 0.82, 0.25),
    "orange": (0.98, 0.58, 0.20),
    "red": (0.92, 0.38, 0.33),
    "green": (0.52, 0.78, 0.36),
    "blue": (0.39, 0.63, 0.92),
    "violet": (0.69, 0.50, 0.87),
}
LIGHT, SHADE = 0.16, 0.80
"""How much lighter a face is at its top, and how dark its rim is beside it."""


class Layer(NamedTuple):
    """A shape filled with a colour. `distance` is signed, below 0 inside, in units of the face's radius."""

    distance: Tensor
    colour: Colour


Feature = Callable[[Tensor, Tensor], list[Layer]]
"""Eyes or a mouth at points x to the right and y down, the face being the unit disc: layers, the front one last."""


def ellipse(x: Tensor, y: Tensor, across: float, down: float) -> Tensor:
    """About the distance from an ellipse of these half axes around 0."""
    return (torch.hypot(x / across, y / down) - 1) * min(across, down)


def bow(x: Tensor, y: Tensor, radius: float, half_angle: float, thick: float) -> Tensor:
    """The distance from a stroke along a circle around 0, so far to both sides of straight down."""
    side, end = x.abs(), (radius * math.sin(half_angle), radius * math.cos(half_angle))
    beyond = side * end[1] > y * end[0]
    return torch.where(beyond, torch.hypot(side - end[0], y - end[1]), (torch.hypot(x, y) - radius).abs()) - thick


def bar(x: Tensor, y: Tensor, half_length: float, thick: float) -> Tensor:
    """The distance from a level stroke around 0."""
    return torch.hypot((x.abs() - half_length).clamp(min=0), y) - thick


def heart(x: Tensor, y: Tensor, size: float) -> Tensor:
    """About the distance from a heart around 0, tip down: a square on its corner, and discs on its upper sides."""
    side, down = x.abs() / size, y / size
    square = (side + (down - 0.15).abs() - 0.7) / math.sqrt(2)
    discs = torch.hypot(side - 0.35, down + 0.2) - 0.7 / math.sqrt(2)
    return torch.minimum(square, discs) * size


EYE = (0.34, -0.22)
"""How far an eye is to the side, and how far down."""


def both(eye: Feature) -> Feature:
    """An eye on either side, each in coordinates of its own."""

    def eyes(x: Tensor, y: Tensor) -> list[Layer]:
        return eye(x.abs() - EYE[0], y - EYE[1])

    return eyes


def dot(x: Tensor, y: Tensor) -> list[Layer]:
    """A plain eye."""
    return [Layer(ellipse(x, y, 0.11, 0.16), INK)]


def staring(x: Tensor, y: Tensor) -> list[Layer]:
    """An eye wide open."""
    return [
        Layer(ellipse(x, y, 0.25, 0.25), INK),
        Layer(ellipse(x, y, 0.20, 0.20), WHITE),
        Layer(ellipse(x, y, 0.09, 0.09), INK),
    ]


def laughing(x: Tensor, y: Tensor) -> list[Layer]:
    """An eye closed from below."""
    return [Layer(bow(x, 0.10 - y, 0.18, 1.25, 0.055), INK)]


def sleeping(x: Tensor, y: Tensor) -> list[Layer]:
    """An eye closed from above."""
    return [Layer(bow(x, y + 0.08, 0.18, 1.25, 0.055), INK)]


def loving(x: Tensor, y: Tensor) -> list[Layer]:
    """A heart for an eye."""
    return [Layer(heart(x, y, 0.26), LOVE)]


def winking(x: Tensor, y: Tensor) -> list[Layer]:
    """One eye open, the other closed."""
    (open_eye,), (closed_eye,) = dot(x + EYE[0], y - EYE[1]), laughing(x - EYE[0], y - EYE[1])
    return [open_eye, closed_eye]


def smile(x: Tensor, y: Tensor) -> list[Layer]:
    """Corners up."""
    return [Layer(bow(x, y - 0.02, 0.48, 1.05, 0.06), INK)]


def frown(x: Tensor, y: Tensor) -> list[Layer]:
    """Corners down."""
    return [Layer(bow(x, 0.80 - y, 0.42, 0.95, 0.06), INK)]


def level(x: Tensor, y: Tensor) -> list[Layer]:
    """Neither."""
    return [Layer(bar(x, y - 0.42, 0.34, 0.06), INK)]


def surprise(x: Tensor, y: Tensor) -> list[Layer]:
    """Open and round."""
    return [Layer(ellipse(x, y - 0.46, 0.17, 0.21), INK)]


def grin(x: Tensor, y: Tensor) -> list[Layer]:
    """Open, with teeth above."""
    mouth = torch.maximum(ellipse(x, y - 0.18, 0.54, 0.54), 0.18 - y)
    return [Layer(mouth, INK), Layer(torch.maximum(mouth + 0.07, y - 0.38), WHITE)]


def cheek(x: Tensor, y: Tensor) -> list[Layer]:
    """Corners up, the tongue out."""
    tongue = torch.maximum(ellipse(x, y - 0.52, 0.19, 0.30), 0.52 - y)
    return [Layer(tongue - 0.05, INK), Layer(tongue, TONGUE), *smile(x, y)]


EYES: Mapping[str, Feature] = {
    "dots": both(dot),
    "staring": both(staring),
    "laughing": both(laughing),
    "sleeping": both(sleeping),
    "loving": both(loving),
    "winking": winking,
}
MOUTHS: Mapping[str, Feature] = {
    "smile": smile,
    "frown": frown,
    "level": level,
    "surprise": surprise,
    "grin": grin,
    "cheek": cheek,
}


@dataclass(frozen=True)
class Emoji(FactorImages):
    """All emoji: 4 backgrounds, 6 colours, 6 pairs of eyes, 6 mouths, so many scales, tilts and places.

    The background is plain, the face is tilted by up to 30 degrees either way and stays within the image. Edges are
    smooth, so that a face that is moved by a part of a pixel is another image. What an emoji is named by, and how it is
    drawn at random, is that of `Sprites`.

    Raises `UsageError` for a size out of range.

    >>> emoji = Emoji()
    >>> emoji.sizes, len(emoji)
    ((4, 6, 6, 6, 4, 5, 6, 6), 622080)
    >>> emoji.render(torch.tensor([[0, 0, 4, 4, 3, 2, 3, 3]])).shape
    torch.Size([1, 3, 48, 48])
    """

    names: ClassVar[tuple[str, ...]] = ("background", "face", "eyes", "mouth", "scale", "tilt", "x", "y")

    side: int = 48
    """Pixels across and down."""
    scales: int = 4
    tilts: int = 5
    positions: int = 6

    def __post_init__(self) -> None:
        require_at_least(
            "emoji", side=(self.side, 16), scales=(self.scales, 1), tilts=(self.tilts, 1), positions=(self.positions, 1)
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        looks = (len(BACKGROUNDS), len(FACES), len(EYES), len(MOUTHS))
        return (*looks, self.scales, self.tilts, self.positions, self.positions)

    def drawn(self, factors: Tensor) -> Tensor:
        background, face, eyes, mouth, *_ = factors.T
        radius, x, y = self._own_coordinates(factors)
        image = _chosen(BACKGROUNDS, background)[..., None, None].expand(-1, -1, self.side, self.side)
        image = painted(image, ellipse(x, y, 1, 1), SHADE * _chosen(FACES, face)[..., None, None], radius)
        image = painted(image, ellipse(x, y, 0.93, 0.93), _lit(_chosen(FACES, face), y), radius)
        for kinds, kind in ((EYES, eyes), (MOUTHS, mouth)):
            image = _with_features(image, kinds, kind, x, y, radius)
        return (255 * image).round().to(torch.uint8)

    def _own_coordinates(self, factors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The radius of each face in pixels, and where each pixel's centre is in the face's own coordinates."""
        scale, tilt, across, down = (column.float()[:, None, None] for column in factors.T[4:])
        centres = (torch.arange(self.side, device=factors.device) + 0.5) / self.side
        radius = REACH * (SMALLEST_FACE + (1 - SMALLEST_FACE) * _along(scale, self.scales))
        x = (centres - self._place(across)) / radius
        y = (centres[:, None] - self._place(down)) / radius
        turn = STEEPEST * (2 * _along(tilt, self.tilts) - 1)
        return radius * self.side, turn.cos() * x + turn.sin() * y, turn.cos() * y - turn.sin() * x

    def _place(self, position: Tensor) -> Tensor:
        """Where the middle of a face is: all of it stays in the image."""
        return REACH + (1 - 2 * REACH) * _along(position, self.positions)


def _along(value: Tensor, size: int) -> Tensor:
    """From 0 for the first value of a factor to 1 for the last; the middle where there is but one."""
    return value / (size - 1) if size > 1 else torch.full_like(value, 0.5)


def _chosen(colours: Mapping[str, Colour], number: Tensor) -> Tensor:
    """Colours by their number, `(n, 3)`."""
    return torch.tensor(list(colours.values()), device=number.device)[number]


def _lit(colour: Tensor, y: Tensor) -> Tensor:
    """A face's colour, lighter at its top: `(n, 3, side, side)`."""
    light = LIGHT * (0.5 - y / 2).clamp(0, 1).unsqueeze(1)
    return colour[..., None, None] * (1 - light) + light


def _with_features(
    image: Tensor, kinds: Mapping[str, Feature], kind: Tensor, x: Tensor, y: Tensor, radius: Tensor
) -> Tensor:
    """Images with the feature of each one's kind painted on."""
    image = image.clone()
    for number, feature in enumerate(kinds.values()):
        rows = kind == number
        for distance, colour in feature(x[rows], y[rows]):
            filled = image.new_tensor(colour)[:, None, None]
            image[rows] = painted(image[rows], distance, filled, radius[rows])
    return image


def painted(image: Tensor, distance: Tensor, colour: Tensor, radius: Tensor) -> Tensor:
    """Images `(n, 3, side, side)` with a shape filled in; a pixel that its edge crosses is filled in part."""
    covered = (0.5 - distance * radius).clamp(0, 1).unsqueeze(1)
    return torch.lerp(image, colour.expand_as(image), covered.expand_as(image))


def emoji_factors() -> tuple[Tensor, Tensor]:
    """The factors of the rows of `load_emoji`: `(10000, 8)` to train on, `(2000, 8)` to test on, no two alike.

    >>> [factors.shape for factors in emoji_factors()]
    [torch.Size([10000, 8]), torch.Size([2000, 8])]
    """
    train, test = Emoji().apart(TRAINING_ROWS, TEST_ROWS)
    return train, test


def load_emoji() -> Splits:
    """10,000 and 2,000 of all emoji, drawn at random and always the same; labels are their mouths.

    Their factors are `emoji_factors()`.
    """
    train, test = (
        Dataset(Emoji().render(factors), factors[:, 3].clone(), f"emoji {name}")
        for name, factors in zip(("train", "test"), emoji_factors(), strict=True)
    )
    return Splits(train, test, name="emoji", source="emoji", licence="Apache-2.0")
