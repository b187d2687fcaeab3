"""The test rows that the model explains worst."""

from __future__ import annotations

from torch import Tensor

from vaekit.report.figures import Image, Plate, Plates
from vaekit.report.pictures import stack
from vaekit.report.pictures.png import Pixels
from vaekit.report.section import Section
from vaekit.report.subject import Subject
from vaekit.report.words import number

SHOWN = 12


def worst(subject: Subject) -> Section:
    """The section on what the model does not understand."""
    score = score_name(subject)
    return Section(
        "worst",
        f"Worst explained {subject.picture.thing}s",
        f"The {subject.example}s with the lowest {score}: the original, below it the reconstruction, and "
        f"the {score} in nats. The mean over all is {number(float(subject.evaluation.row_scores.mean()), 1)}.",
        f"ordinary {subject.picture.thing}s among them: what is common was not learnt. Odd and mislabelled "
        "ones belong here.",
        Plates(_plates(subject), subject.picture.legend),
    )


def score_name(subject: Subject) -> str:
    """By what rows are told to be explained well or badly."""
    if subject.evaluation.evidence is None:
        return "log-likelihood of the reconstruction"
    return "log p(x)" if subject.fitted.about.density.is_likelihood else "importance-weighted score"


def worst_rows(scores: Tensor, n: int) -> Tensor:
    """The numbers of the `n` rows of least score, the worst first; one that is not a number counts as worst.

    >>> import torch
    >>> worst_rows(torch.tensor([-3.0, -9.0, -5.0]), 2).tolist()
    [1, 2]
    """
    return scores.nan_to_num(nan=-float("inf")).argsort(stable=True)[:n]


def _plates(subject: Subject) -> tuple[Plate, ...]:
    rows = worst_rows(subject.evaluation.row_scores, SHOWN)
    originals = subject.test.take(rows)
    reconstructed = subject.fitted.reconstruct(originals, seed=subject.seed)
    drawn = zip(rows.tolist(), subject.tiles(originals.x), subject.tiles(reconstructed), strict=True)
    return tuple(_plate(subject, row, original, again) for row, original, again in drawn)


def _plate(subject: Subject, row: int, original: Pixels, reconstruction: Pixels) -> Plate:
    image = Image.of(stack([original, reconstruction]), f"Row {row} above its reconstruction", subject.fit.times)
    label = () if subject.test.y is None else (f"label {int(subject.test.y[row])}",)
    score = float(subject.evaluation.row_scores[row])
    return Plate(image, number(score, 1), (*label, f"row {row:,}"))
