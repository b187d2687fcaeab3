"""Samples from the prior."""

from __future__ import annotations

from vaekit.report.figures import Image, Sheet
from vaekit.report.pictures import grid
from vaekit.report.section import Section
from vaekit.report.subject import Subject

LINES = 6


def samples(subject: Subject) -> Section:
    """The section on what the model makes up."""
    thing = subject.picture.thing
    return Section(
        "samples",
        "Samples from the prior",
        f"New {thing}s, made up: codes drawn from the prior and decoded to their mean, unselected.",
        f"samples that look unlike the data (the prior holds codes that no {thing} has), or always the same few.",
        Sheet(_image(subject), subject.picture.legend),
    )


def _image(subject: Subject) -> Image:
    columns = subject.fit.across(Sheet.ROOM)
    drawn = subject.fitted.sample(columns * LINES, mean=True, seed=subject.seed)
    return Image.of(grid(subject.tiles(drawn), columns), "Samples from the prior", subject.fit.times)
