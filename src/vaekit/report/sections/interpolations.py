"""Interpolations from one test row to another."""

from __future__ import annotations

import torch
from torch import Tensor

from vaekit.report.figures import Image, Strip, Strips
from vaekit.report.pictures import line
from vaekit.report.pictures.png import Pixels
from vaekit.report.section import Section
from vaekit.report.subject import Subject

WAYS, MOST = 6, 11


def interpolations(subject: Subject) -> Section:
    """The section on what lies between two codes."""
    return Section(
        "interpolations",
        "Interpolations",
        f"The way from one {subject.example} to another through the latent space. The originals stand at "
        "both ends; all between them is decoded.",
        "a sudden jump, or a stretch that looks like no data at all.",
        Strips(_strips(subject), ("original", "decoded on the way", "original"), subject.picture.legend),
    )


def _strips(subject: Subject) -> tuple[Strip, ...]:
    pairs = partners(subject.order, subject.test.y, WAYS)
    starts, ends = (subject.test.take(rows) for rows in pairs.unbind(1))
    steps = max(2, subject.fit.steps(Strip.ROOM, MOST) - 2)
    between = subject.fitted.interpolate(starts, ends, steps=steps, seed=subject.seed)
    return tuple(
        Strip(_label(subject, pair), "", _image(subject, start, way, end))
        for pair, start, way, end in zip(pairs, starts.x, between, ends.x, strict=True)
    )


def partners(order: Tensor, labels: Tensor | None, n: int) -> Tensor:
    """Up to `n` pairs of rows, `(pair, 2)`, in the given order, of two labels each where there are two.

    >>> partners(torch.arange(4), torch.tensor([7, 7, 7, 5]), 2).tolist()
    [[0, 3], [1, 3]]
    """
    starts = order[: min(n, max(1, len(order) // 2))]
    ends = [_other(start, order.roll(-len(starts) - at), labels) for at, start in enumerate(starts)]
    return torch.stack([starts, torch.stack(ends)], 1)


def _other(start: Tensor, candidates: Tensor, labels: Tensor | None) -> Tensor:
    """The first candidate of another label, or the first."""
    if labels is None:
        return candidates[0]
    unlike = candidates[labels[candidates] != labels[start]]
    return unlike[0] if len(unlike) else candidates[0]


def _label(subject: Subject, pair: Tensor) -> str:
    if subject.test.y is None:
        return ""
    start, end = subject.test.y[pair].tolist()
    return f"{start} → {end}"


def _image(subject: Subject, start: Tensor, way: Tensor, end: Tensor) -> Image:
    first, *between, last = subject.tiles(torch.stack([start, *way, end]))
    parts: list[Pixels] = [first, line(between), last]
    return Image.of(line(parts, gap=6), "An interpolation", subject.fit.times)
