"""Reconstructions beside originals."""

from __future__ import annotations

from vaekit.report.figures import Image, Sheet
from vaekit.report.pictures import grid, stack
from vaekit.report.section import Section
from vaekit.report.subject import Subject

LINES = 3


def reconstructions(subject: Subject) -> Section:
    """The section on what the code keeps."""
    return Section(
        "reconstructions",
        "Reconstructions",
        f"Some {subject.example}s, picked at random. In each pair, the original is above, and below is what the model "
        "makes of it when all it keeps is the code.",
        "a reconstruction that shows something else than its original, or all of them alike.",
        Sheet(_image(subject), subject.picture.legend),
    )


def _image(subject: Subject) -> Image:
    columns = subject.fit.across(Sheet.ROOM)
    originals = subject.test.take(subject.some_by_label(columns * LINES))
    reconstructed = subject.fitted.reconstruct(originals, seed=subject.seed)
    drawn = zip(subject.tiles(originals.x), subject.tiles(reconstructed), strict=True)
    pairs = [stack(pair, gap=1) for pair in drawn]
    return Image.of(grid(pairs, columns, between_lines=6), "Originals above their reconstructions", subject.fit.times)
