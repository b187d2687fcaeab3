"""Each column of a table: how it is distributed, and how in rows that the model makes up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray
from torch import Tensor

from vaekit.data.tables import Column
from vaekit.families.columns import Marginal
from vaekit.recipes import Blueprint
from vaekit.recipes.forms import TableForm
from vaekit.report.cells import in_words
from vaekit.report.charts import ACCENT, INK, MUTED, chart
from vaekit.report.figures import Key, Panel, Panels
from vaekit.report.section import Section
from vaekit.report.subject import Subject
from vaekit.report.words import count, percent

WIDTH, HEIGHT = 320, 170
DRAWN = 4000
"""Rows that are made up to be counted."""
MOST = 24
"""Columns that are drawn at most."""
LEVELS = 9
"""Levels that have bars of their own; the others share one."""
SKEWED = 8.0
"""How many times its median the upper end of a positive column is, from where on its axis is logarithmic."""
MIDDLE = (0.005, 0.995)
"""The quantiles between which numbers are drawn."""

Values = NDArray[np.float64]


def columns(subject: Subject) -> Section:
    """The section on how each column is distributed."""
    assert subject.schema is not None
    made_up = subject.fitted.sample(max(DRAWN, len(subject.test)), seed=subject.seed)
    known, laws = subject.schema.modelled, _laws(subject)
    panels = [
        panel(column, law, subject.test.x[:, at], made_up[:, at])
        for at, (column, law) in enumerate(zip(known[:MOST], laws, strict=False))
    ]
    some = f" The first {MOST} of {len(known)} are shown." if len(known) > MOST else ""
    return Section(
        "columns",
        "Columns",
        f"How the cells of each column are distributed: in {count(len(subject.test), f'{subject.kind} row')}, and in "
        f"{len(made_up):,} that the model made up. Below its name stand the kind of the column, and the law of its "
        f"cells given the code.{some}",
        "a peak or a level that the model does not make up, or one that only the model has.",
        Panels(tuple(panels), (Key("real", f"{subject.kind} rows"), Key("made-up", "made up by the model"))),
    )


def _laws(subject: Subject) -> Sequence[str]:
    """What explains each column given the code, in words."""
    blueprint = subject.fitted.model.blueprint
    form = blueprint.form if isinstance(blueprint, Blueprint) else None
    return [law(each) for each in form.marginals] if isinstance(form, TableForm) else [""] * len(subject.test.x[0])


_WARPS = {
    "standardise": "",
    "log": " of the logarithm",
    "sinh_arcsinh": ", skewed by a sinh-arcsinh",
    "gaussianise": ", bent to several peaks",
}


def law(marginal: Marginal) -> str:
    """The law of a column in words.

    >>> law(Marginal("normal", warp="log")), law(Marginal("spiked", warp="log", atoms=(0.0,)))
    ('normal of the logarithm', 'spiked of the logarithm, atoms at 0')
    """
    atoms = f", atoms at {', '.join(f'{atom:g}' for atom in marginal.atoms)}" if marginal.atoms else ""
    return f"{marginal.family.replace('_', ' ')}{_WARPS[marginal.warp]}{atoms}"


def panel(column: Column, words: str, real: Tensor, made_up: Tensor) -> Panel:
    """The chart of one column, of codes `(n,)` each."""
    seen, drawn = (_there(values) for values in (real, made_up))
    draw: Callable[[Axes], None] = partial(_draw_levels if column.levels else _draw_numbers, column, seen, drawn)
    missing = float(real.isnan().double().mean())
    picture = chart(draw, WIDTH, HEIGHT, f"How {column.name} is distributed, really and as made up")
    told = f"{percent(missing)} missing" if missing else ""
    return Panel(column.name, told, picture, column.kind if words == column.kind else f"{column.kind}: {words}")


def _there(values: Tensor) -> Values:
    return values[~values.isnan()].double().cpu().numpy()


def shares_of_levels(
    levels: int, real: Values, made_up: Values, ordered: bool = False
) -> tuple[list[int], Values, Values]:
    """The levels shown, in order or the most frequent first, and the share of each among real and made-up cells.

    Where there are more, the last share is that of all others together.

    >>> shown, real, made_up = shares_of_levels(2, np.array([1.0, 1.0, 0.0]), np.array([0.0]))
    >>> shown, [round(float(share), 2) for share in real], made_up.tolist()
    ([1, 0], [0.67, 0.33], [0.0, 1.0])
    """
    counts = [np.bincount(cells.astype(np.int64), minlength=levels) for cells in (real, made_up)]
    shares = [found / max(1, found.sum()) for found in counts]
    order = np.arange(levels) if ordered else np.argsort(-shares[0], kind="stable")
    shown, rest = order[:LEVELS], order[LEVELS:]
    pooled = [np.append(share[shown], share[rest].sum() if len(rest) else []) for share in shares]
    return shown.tolist(), pooled[0], pooled[1]


def _draw_levels(column: Column, real: Values, made_up: Values, axes: Axes) -> None:
    """Two bars for each level, the real one above."""
    shown, seen, drawn = shares_of_levels(len(column.levels), real, made_up, column.kind == "ordinal")
    names = [in_words(column.levels[level]) for level in shown]
    names += [f"{len(column.levels) - len(shown)} others"] * (len(seen) - len(shown))
    at = np.arange(len(seen))
    axes.barh(at - 0.19, 100 * seen, 0.34, color=MUTED, alpha=0.55)
    axes.barh(at + 0.19, 100 * drawn, 0.34, color=ACCENT)
    axes.set_yticks(at, names, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g} %"))


def bins(column: Column, real: Values) -> Values:
    """The edges of bins, as many as the cells can tell apart: whole numbers in the middle of theirs.

    >>> bins(Column("kids", "count"), np.array([0.0, 1.0, 1.0, 3.0])).tolist()
    [-0.5, 0.5, 1.5, 2.5, 3.5]
    """
    if not len(real):
        return np.linspace(0, 1, 9)
    low, high = (float(np.quantile(real, at)) for at in MIDDLE)
    number = int(np.clip(round(3 * len(real) ** (1 / 3)), 8, 40))
    if column.kind == "count" and real.max() - real.min() < number:
        return np.arange(real.min(), real.max() + 2) - 0.5
    if is_skewed(column, real):
        return np.geomspace(max(low, float(real.min())), high, number + 1)
    return np.linspace(low, high if high > low else low + 1, number + 1)


def is_skewed(column: Column, real: Values) -> bool:
    """Whether a column is drawn on a logarithmic axis."""
    above = column.kind == "positive" and len(real) > 0 and float(real.min()) > 0
    return above and float(np.quantile(real, MIDDLE[1])) > SKEWED * float(np.median(real))


def _draw_numbers(column: Column, real: Values, made_up: Values, axes: Axes) -> None:
    """The share of cells in each bin: real ones as an area, made-up ones as a line."""
    edges = bins(column, real)
    for cells, draw in ((real, partial(_area, axes)), (made_up, partial(_line, axes))):
        draw(100 * np.histogram(cells, edges)[0] / max(1, len(cells)), edges)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g} %"))
    if is_skewed(column, real):
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=column.kind == "count"))
    if column.kind == "datetime":
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda days, _: _date(column, days)))
    elif not is_skewed(column, real):
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def _area(axes: Axes, shares: Values, edges: Values) -> None:
    axes.stairs(shares, edges, fill=True, color=MUTED, alpha=0.45)


def _line(axes: Axes, shares: Values, edges: Values) -> None:
    axes.stairs(shares, edges, color=ACCENT, linewidth=1.8, baseline=None)


def _date(column: Column, days: float) -> str:
    """The date that a code stands for, to the month."""
    cell = column.decode(torch.tensor([days], dtype=torch.float32).numpy()).iloc[0]
    return str(cell)[:7]
