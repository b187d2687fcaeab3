"""The data sets that come with vaekit and need no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vaekit.common.registry import Registry
from vaekit.data.dataset import Splits
from vaekit.data.emoji import load_emoji
from vaekit.data.idx import idx_folder
from vaekit.data.sprites import load_sprites

_FILES = Path(__file__).with_name("files")


@dataclass(frozen=True)
class BuiltIn:
    """A built-in data set: what a listing says of it, and how it is loaded.

    >>> BUILTIN["mnist"].licence
    'CC BY-SA 3.0'
    """

    name: str
    summary: str
    licence: str
    shape: str
    loader: Callable[[], Splits]


def load_mnist() -> Splits:
    """MNIST: 60,000 and 10,000 handwritten digits of 1 x 28 x 28 bytes, with labels.

    LeCun, Cortes and Burges (1998).

    >>> load_mnist().test
    Dataset(mnist test: 10000 images of 1 x 28 x 28, uint8, labelled)
    """
    return replace(idx_folder(_FILES / "mnist"), source="mnist", licence="CC BY-SA 3.0")


_MNIST = BuiltIn(
    name="mnist",
    summary="handwritten digits (LeCun, Cortes and Burges, 1998)",
    licence="CC BY-SA 3.0",
    shape="60,000 + 10,000 grey images of 28 x 28, in 10 classes",
    loader=load_mnist,
)

_SPRITES = BuiltIn(
    name="sprites",
    summary="shapes of known scale, angle and place, drawn by vaekit in the manner of dSprites",
    licence="Apache-2.0",
    shape="20,000 + 2,000 binary images of 64 x 64, in 3 classes",
    loader=load_sprites,
)

_EMOJI = BuiltIn(
    name="emoji",
    summary="faces of known colours, looks, tilt, scale and place, drawn by vaekit",
    licence="Apache-2.0",
    shape="10,000 + 2,000 colour images of 48 x 48, in 6 classes",
    loader=load_emoji,
)

BUILTIN: Registry[BuiltIn] = Registry("built-in data", {entry.name: entry for entry in (_MNIST, _SPRITES, _EMOJI)})
"""The built-in data sets by name."""
