"""Complexity: the surprise of an image less what a general compressor would have paid for it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaekit.common.errors import DataError, UsageError
from vaekit.core import VAE, Batch
from vaekit.uses.score import Encode
from vaekit.uses.scores.likelihood import LogEvidence
from vaekit.uses.scores.scorer import Mixture, Pool, Scorer

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Complexity(Scorer):
    r"""The surprise of an image less its compressed length, :math:`-\log p(x) - \ell(x) \log 2`, in nats.

    Simple images are likely under every model of images, whatever it was trained on; what a compressor knows as well
    is taken off. It is the logarithm of a ratio of the compressor's likelihood to the model's; of a model of
    densities rather than of 8-bit values up to a constant.

    Source: Serra et al., 2020. Raises `UsageError` for rows that are no images: what compresses a table is a model of
    it; `DataError` for values that are neither bytes nor greys in [0, 1], with their row.

    >>> from vaekit.recipes import build
    >>> model = build("conv_vae", (1, 16, 16), latent=2).model
    >>> Complexity()(model, Batch(torch.rand(2, 1, 16, 16)), samples=5).shape
    torch.Size([2])
    """

    pool: ClassVar[Pool] = Mixture()

    def __call__(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Tensor:
        lengths = torch.tensor([code_length(image) for image in as_bytes(batch.x)], dtype=torch.float64)
        return LogEvidence()(model, batch, samples, seed, encode) - lengths * math.log(2)


def as_bytes(x: Tensor) -> Bytes:
    """Images `(n, channel, row, column)`, or without channels, as bytes `(n, channel, row, column)`.

    >>> as_bytes(torch.tensor([[[0.0, 1.0]]])).tolist()
    [[[[0, 255]]]]
    """
    if x.dim() not in (3, 4):
        shape = tuple(x.shape[1:])
        raise UsageError(f"complexity is of images, and these rows have the shape {shape}: take another score")
    images = x.reshape(len(x), -1, *x.shape[-2:]).cpu()
    stored: Bytes = (images if images.dtype == torch.uint8 else _quantised(images)).numpy()
    return stored


def _quantised(greys: Tensor) -> Tensor:
    """The nearest of 256 levels."""
    outside = ~((greys >= 0) & (greys <= 1)).flatten(1).all(1)
    if outside.any():
        raise DataError(f"row {int(outside.nonzero()[0])} of x has values outside [0, 1]: complexity is of greys")
    return (greys * 255).round().to(torch.uint8)


def code_length(image: Bytes) -> int:
    """The bits of an image `(channel, row, column)` by deflate after the best of PNG's five filters.

    One filter for all rows of the image; of the file's frame nothing is counted but deflate's own.

    >>> flat, noise = np.zeros((1, 32, 32), np.uint8), np.random.default_rng(0).integers(0, 256, (1, 32, 32), np.uint8)
    >>> code_length(flat) < 200 < 8000 < code_length(noise)
    True
    """
    left, above, corner = _shifted(image, 0, 1), _shifted(image, 1, 0), _shifted(image, 1, 1)
    residuals = (image - predict(left, above, corner) for predict in PREDICTORS)
    return min(8 * len(zlib.compress(np.moveaxis(residual, 0, -1).tobytes(), 9)) for residual in residuals)


def _shifted(image: Bytes, down: int, right: int) -> Bytes:
    """The neighbours above or to the left; 0 outside."""
    _, height, width = image.shape
    return np.pad(image, ((0, 0), (down, 0), (right, 0)))[:, :height, :width]


def _mean_of_two(left: Bytes, above: Bytes, corner: Bytes) -> Bytes:
    return ((left.astype(np.int16) + above) // 2).astype(np.uint8)


def _paeth(left: Bytes, above: Bytes, corner: Bytes) -> Bytes:
    """Of the three neighbours that which is nearest to left + above - corner. Source: Paeth, 1991."""
    neighbours = np.stack([left, above, corner]).astype(np.int16)
    guess = neighbours[0] + neighbours[1] - neighbours[2]
    nearest = np.abs(neighbours - guess).argmin(0)
    guessed: Bytes = np.take_along_axis(neighbours, nearest[None], 0)[0].astype(np.uint8)
    return guessed


PREDICTORS: tuple[Callable[[Bytes, Bytes, Bytes], Bytes], ...] = (
    lambda left, above, corner: np.zeros_like(left),
    lambda left, above, corner: left,
    lambda left, above, corner: above,
    _mean_of_two,
    _paeth,
)
"""What PNG's filters expect of a value, from its neighbours to the left, above, and above to the left."""
