"""A map of the test set's codes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from matplotlib.axes import Axes
from torch import Tensor

from vaekit.report.charts import INK, PAPER, chart
from vaekit.report.colours import palette
from vaekit.report.figures import Scatter, Swatch
from vaekit.report.projection import Projection, projected
from vaekit.report.section import Section
from vaekit.report.subject import Subject
from vaekit.report.words import count

ROWS = 5000
SIDE, DPI = 420, 144
NAMED = 10
"""Labels up to which each is named in the map."""


def codes(subject: Subject) -> Section:
    """The section on where examples lie in the latent space."""
    labelled = "" if subject.test.y is None else ", coloured by its label"
    return Section(
        "codes",
        "Map of the codes",
        f"Each point is the code of one {subject.example}, the mean of its posterior over {subject.latent}{labelled}.",
        "islands with empty space between them, for samples from the prior would fall there; or one small heap, where "
        "all codes say the same.",
        _scatter(subject),
    )


def _scatter(subject: Subject) -> Scatter:
    rows = subject.order[:ROWS]
    means = subject.fitted.encode(subject.test.take(rows), latent=subject.latent, seed=subject.seed)
    projection = projected(means.flatten(1))
    labels = torch.zeros(len(rows), dtype=torch.int64) if subject.test.y is None else subject.test.y[rows]
    classes, of_row = labels.unique(return_inverse=True)
    colours = palette(len(classes))
    names = [str(label) for label in classes.tolist()] if 1 < len(classes) <= NAMED else []
    drawn = chart(partial(draw_map, projection, of_row, colours, names), SIDE, SIDE, "A map of the codes", DPI)
    swatches = tuple(map(Swatch, colours, names))
    return Scatter(drawn, swatches, f"{count(len(rows), subject.example)}. {projection.words}")


def draw_map(projection: Projection, of_row: Tensor, colours: Sequence[str], names: Sequence[str], axes: Axes) -> None:
    """Draw codes, each in the colour of its label `of_row` `(row,)`, and the labels' names at the medians of theirs."""
    across, up = projection.points.double().numpy().T
    of_point = [colours[label] for label in of_row.tolist()]
    size = min(24, max(7, 12_000 / len(of_row)))
    axes.scatter(across, up, s=size, c=of_point, alpha=0.75, linewidths=0, rasterized=True)
    for label, name in enumerate(names):
        _name(projection.points[of_row == label], name, axes)
    axes.set_aspect(projection.aspect, adjustable="datalim")
    axes.grid(visible=False)
    axes.set_axis_off()


def _name(points: Tensor, name: str, axes: Axes) -> None:
    """Write a label at the median of its points."""
    across, up = points.median(0).values.tolist()
    plate = {"boxstyle": "round,pad=0.25", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.85}
    axes.text(across, up, name, color=INK, fontsize=12, fontweight="bold", ha="center", va="center", bbox=plate)
