"""Traversals of the most active latent coordinates."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from vaekit.common.seeds import seeded
from vaekit.data import Dataset
from vaekit.evaluate import Activity
from vaekit.report.figures import Image, Strip, Strips
from vaekit.report.pictures import line
from vaekit.report.section import Section
from vaekit.report.subject import Subject
from vaekit.report.words import MINUS, percent
from vaekit.uses.traverse import PRIOR_DRAWS, prior_scale
from vaekit.uses.traverse import traversals as ways

ROWS, STEPS, REACH = 10, 11, 3.0


def traversals(subject: Subject) -> Section:
    """The section on what each coordinate means."""
    return Section(
        "traversals",
        "Traversals",
        f"What each coordinate of the latent {subject.latent} does, the most active first: one typical "
        f"{subject.example} is encoded, then that coordinate alone goes from {MINUS}3 to +3 standard deviations "
        "of the prior. The percentage is its share of the variance of all codes.",
        "rows in which nothing changes: coordinates that are not used.",
        Strips(_strips(subject), (f"{MINUS}3", "0", "+3"), subject.picture.legend),
    )


def _strips(subject: Subject) -> tuple[Strip, ...]:
    activity, typical = subject.activity, typical_row(subject)
    code = subject.fitted.encode(typical, latent=subject.latent, seed=subject.seed)[0]
    coordinates = traversed(activity)
    centre, spread = _prior_scale(subject)
    at = torch.linspace(-REACH, REACH, subject.fit.steps(Strip.ROOM, STEPS))
    codes = ways(code, coordinates, centre, spread, at)
    shares = activity.variance / activity.variance.sum()
    return tuple(
        Strip(f"{subject.latent}[{d}]", percent(float(shares[d])), _image(subject, examples, d))
        for d, examples in zip(coordinates, _decoded(subject, codes, typical.y), strict=True)
    )


def traversed(activity: Activity) -> list[int]:
    """The coordinates to show: the most active ones, of those that are active, if any is.

    >>> traversed(Activity(torch.tensor([0.5, 0.001, 0.9])))
    [2, 0]
    """
    active = [d for d in activity.ranking if activity.active[d]]
    return (active or activity.ranking)[:ROWS]


def typical_row(subject: Subject) -> Dataset:
    """The test row that is explained as well as the median one."""
    by_score = subject.evaluation.row_scores.argsort()
    return subject.test.take(by_score[len(by_score) // 2 :][:1])


def _prior_scale(subject: Subject) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each coordinate under the prior."""
    fitted = subject.fitted
    with seeded(subject.seed, fitted.device):
        return prior_scale(fitted.model, subject.latent, fitted.conditions(PRIOR_DRAWS))


def _decoded(subject: Subject, codes: Tensor, label: Tensor | None) -> Tensor:
    """Codes `(coordinate, step, *event)`, decoded: `(coordinate, step, *event of x)`.

    Latents drawn after the traversed one are drawn alike at each step, so that along a row its coordinate alone
    makes the difference. A model that reads labels is given that of the row where the way starts.
    """
    labels = None if label is None else label.expand(len(codes))
    decode = partial(subject.fitted.decode, latent=subject.latent, labels=labels, seed=subject.seed)
    return torch.stack([decode(step) for step in codes.unbind(1)], 1)


def _image(subject: Subject, examples: Tensor, coordinate: int) -> Image:
    return Image.of(line(subject.tiles(examples)), f"A traversal of coordinate {coordinate}", subject.fit.times)
