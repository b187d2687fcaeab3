"""Rows of a table: made-up ones beside real ones, reconstructed ones below theirs, and the worst explained."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from vaekit.report.cells import beside
from vaekit.report.figures import Grid, Line
from vaekit.report.figures.grid import Group
from vaekit.report.section import Section
from vaekit.report.sections.traversals import traversed, typical_row
from vaekit.report.sections.worst import score_name, worst_rows
from vaekit.report.subject import Subject
from vaekit.report.words import MINUS, number, percent

MADE_UP, PAIRS, WORST = 12, 8, 12
COORDINATES, AT = 5, (-3.0, -1.5, 0.0, 1.5, 3.0)
"""Coordinates that are traversed at most, and where, in standard deviations of the prior."""


def made_up_rows(subject: Subject) -> Section:
    """The section on what the model makes up."""
    cells = subject.cells
    drawn = subject.fitted.sample(MADE_UP, seed=subject.seed)
    real = subject.test.x[subject.order[:MADE_UP]]
    groups = (Group("Made up", cells.lines(drawn)), Group(f"Real, from the {subject.kind} rows", cells.lines(real)))
    return Section(
        "samples",
        "Made-up rows",
        "New rows, unselected: codes drawn from the prior, and each cell from its distribution given the code. Below "
        "them are real ones, picked at random.",
        "rows that nobody could be, such as a retired child; cells that do not go together; or always the same few.",
        Grid(cells.names, cells.are_numbers, groups, cells.note),
    )


def reconstructed_rows(subject: Subject) -> Section:
    """The section on what the code keeps."""
    cells = subject.cells
    originals = subject.test.take(subject.some_by_label(PAIRS))
    again = cells.lines(subject.fitted.reconstruct(originals, seed=subject.seed))
    pairs = zip(cells.lines(originals.x), (replace(line, faint=True) for line in again), strict=True)
    return Section(
        "reconstructions",
        "Reconstructions",
        f"Some {subject.kind} rows, picked at random. In each pair, the original is above, and below, fainter, is what "
        "the model expects when all it keeps is the code: means of numbers, the most probable levels.",
        "reconstructions that are all alike.",
        Grid(cells.names, cells.are_numbers, (Group("", tuple(chain(*pairs))),), cells.note),
    )


def traversed_rows(subject: Subject) -> Section:
    """The section on what each coordinate means."""
    cells, latent, activity = subject.cells, subject.latent, subject.activity
    coordinates = traversed(activity)[:COORDINATES]
    ways = subject.fitted.traverse(
        typical_row(subject), latent=latent, coordinates=coordinates, steps=len(AT), reach=AT[-1], seed=subject.seed
    )
    shares = activity.variance / activity.variance.sum()
    groups = tuple(
        Group(
            f"{latent}[{d}], {percent(float(shares[d]))}", beside(cells.lines(way), [f"{number(at, 1)} σ" for at in AT])
        )
        for d, way in zip(coordinates, ways, strict=True)
    )
    return Section(
        "traversals",
        "Traversals",
        f"What each coordinate of the latent {latent} does, the most active first: one typical {subject.kind} row is "
        f"encoded, then that coordinate alone goes from {MINUS}3 to +3 standard deviations of the prior. The cells are "
        "what the model expects. The percentage is the coordinate's share of the variance of all codes.",
        "groups in which nothing changes: coordinates that are not used.",
        Grid(("at", *cells.names), (True, *cells.are_numbers), groups, cells.note),
    )


def worst_explained_rows(subject: Subject) -> Section:
    """The section on what the model does not understand."""
    score, scores = score_name(subject), subject.evaluation.row_scores
    rows = worst_rows(scores, WORST)
    first = [f"{number(float(scores[row]), 1)}" for row in rows.tolist()]
    lines: tuple[Line, ...] = beside(subject.cells.lines(subject.test.x[rows]), first)
    cells = subject.cells
    return Section(
        "worst",
        "Worst explained rows",
        f"The {subject.kind} rows with the lowest {score}, in nats. The mean over all is "
        f"{number(float(scores.mean()), 1)}.",
        "ordinary rows among them: what is common was not learnt. Odd and mistyped ones belong here.",
        Grid((score, *cells.names), (True, *cells.are_numbers), (Group("", lines),), cells.note),
    )
