"""A folder of images, decoded as they are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Size

from vaekit.common.errors import DataError
from vaekit.data.dataset import Dataset
from vaekit.data.layout import canonical_rows
from vaekit.data.reading import blaming
from vaekit.data.streams.store import even_edges

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MODES: Final = ("L", "RGB", "RGBA")
"""Pillow's names of what is read: greys, colours, colours with their opacity."""


class ImageStore:
    """The images in a folder, by name: bytes, `(C, H, W)`, all of one size and mode.

    Where they lie in sub-folders, the first of these names the label: `classes` holds the names in order, and the
    label is the number in it. Threads decode them, as many as there are cores: Pillow's decoders run side by side.

    Raises `DataError` that names the folder that holds no image, the image that is damaged, and both files where two
    differ in size or mode.
    """

    dtype = torch.uint8
    any_order = True
    beside = True

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.resolve().name
        self.files = image_files(path)
        folders = [file.partition("/")[0] if "/" in file else "" for file in self.files]
        self.classes: tuple[str, ...] = tuple(sorted({folder for folder in folders if folder}))
        _refuse_loose(path, self.files, folders, self.classes)
        number = {folder: index for index, folder in enumerate(self.classes)}
        self._labels = torch.tensor([number[folder] for folder in folders]) if self.classes else None
        first = decoded(path / self.files[0])
        self._form = _form(first)
        self.event_shape: Size = canonical_rows(first[None]).shape[1:]

    @property
    def labelled(self) -> bool:
        """Whether the images lie in sub-folders."""
        return self._labels is not None

    def __len__(self) -> int:
        return len(self.files)

    def edges(self, rows: int) -> np.ndarray:
        """Blocks of `rows` images."""
        return even_edges(len(self), rows)

    def read(self, blocks: Iterable[range], seed: int = 0) -> Iterator[Dataset]:
        """See `Store.read`."""
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            for block in blocks:
                images = np.stack(list(workers.map(self._image, block)))
                y = None if self._labels is None else self._labels[block.start : block.stop]
                yield Dataset(canonical_rows(images), y, self.name)

    def _image(self, number: int) -> np.ndarray:
        image = decoded(self.path / self.files[number])
        if _form(image) != self._form:
            raise DataError(
                f"{self.path / self.files[number]}: {_form(image)}, but {self.files[0]} is {self._form}: "
                "give all images one size and mode"
            )
        return image


def image_files(path: Path) -> list[str]:
    """The images in a folder, at any depth, as paths within it, in order; hidden ones are left out."""
    found = [file.relative_to(path) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES]
    files = sorted(file.as_posix() for file in found if not any(part.startswith(".") for part in file.parts))
    if not files:
        raise DataError(f"{path}: no image in this folder ({', '.join(SUFFIXES)}): put them there")
    return files


def decoded(path: Path) -> np.ndarray:
    """An image as bytes, `(H, W)` or `(H, W, C)`."""
    with blaming(path):
        try:
            with Image.open(path) as image:
                image.load()
                return _bytes(image)
        except (UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise DataError("is no image that Pillow can read: mend or remove it") from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise DataError(f"is damaged ({error}): mend or remove it") from error


def _bytes(image: Image.Image) -> np.ndarray:
    if image.mode not in MODES:
        raise DataError(f"has the mode {image.mode}: convert it to {' or '.join(MODES)}, 8 bits a channel")
    return np.asarray(image)


def _form(image: np.ndarray) -> str:
    height, width, *channels = image.shape
    mode = dict(zip((1, 3, 4), MODES, strict=True))[channels[0] if channels else 1]
    return f"{width} x {height} pixels of {mode}"


def _refuse_loose(path: Path, files: list[str], folders: list[str], classes: tuple[str, ...]) -> None:
    if classes and "" in folders:
        loose = files[folders.index("")]
        raise DataError(f"{path / loose}: lies beside sub-folders, which name labels: put it into one of them")
