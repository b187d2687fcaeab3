"""Codes in a plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vaekit.report.words import percent


@dataclass(frozen=True)
class Projection:
    """Codes in a plane, `(row, 2)`, what its axes are, and how their units compare."""

    points: Tensor
    words: str
    aspect: Literal["equal", "auto"] = "equal"


def projected(codes: Tensor) -> Projection:
    """Codes `(row, dimension)` in a plane: as they are where they have two dimensions, else by principal components.

    >>> projected(torch.tensor([[1.0, 2.0], [3.0, 5.0]])).points.tolist()
    [[1.0, 2.0], [3.0, 5.0]]
    """
    return _BY_WIDTH.get(codes.shape[1], principal_components)(codes)


def principal_components(codes: Tensor) -> Projection:
    r"""The two directions in which codes vary the most: :math:`(Z - \bar z) (v_1, v_2)`.

    :math:`v_1, v_2` are the first eigenvectors of the codes' covariance, each signed so that its largest entry is
    positive. Source: Pearson, 1901; Hotelling, 1933.

    >>> principal_components(torch.tensor([[0.0, 0.0, 9.0], [0.0, 2.0, 9.0], [0.0, 4.0, 9.0]])).points[:, 0].tolist()
    [-2.0, 0.0, 2.0]
    """
    centred = codes.double() - codes.double().mean(0)
    variances, directions = torch.linalg.eigh(centred.T @ centred)
    first_two = directions[:, [-1, -2]]
    largest = first_two.gather(0, first_two.abs().argmax(0, keepdim=True))
    shares = (variances / variances.sum().clamp(min=1e-300)).clamp(min=0)
    words = (
        f"The axes are the first two principal components of all {codes.shape[1]} coordinates: they hold "
        f"{percent(float(shares[-1]))} and {percent(float(shares[-2]))} of the variance, so that the rest is not seen."
    )
    return Projection(centred @ (first_two * largest.sign()), words)


def _as_they_are(codes: Tensor) -> Projection:
    return Projection(codes, "The axes are the latent's own two coordinates: they hold 100 % of the variance.")


def _along_one(codes: Tensor) -> Projection:
    """One coordinate across, and up the share of codes below it."""
    ranks = codes.argsort(0).argsort(0) / len(codes)
    words = "Across: the latent's one coordinate, with 100 % of the variance. Up: the share of codes that lie below."
    return Projection(torch.cat([codes.double(), ranks.double()], 1), words, aspect="auto")


_BY_WIDTH: dict[int, Callable[[Tensor], Projection]] = {1: _along_one, 2: _as_they_are}
