"""Charts: matplotlib's SVG, stripped to what a page needs and coloured by the page's own style sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, Final

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, RULE, PAPER, ACCENT = "#0a0001", "#0a0002", "#0a0003", "#0a0004", "#0a0005"
"""Stand-ins for colours that the style sheet sets, one set for light and one for dark."""

_VARIABLES: Final = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper", ACCENT: "--accent"}
_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vaekit",
    "font.size": 11,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "ytick.major.pad": 6,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "figure.facecolor": "none",
}
_ANONYMOUS: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_POINTS_PER_INCH = 72


def chart(draw: Callable[[Axes], None], width: float, height: float, label: str, dpi: int = 72) -> Markup:
    """What `draw` draws on axes, as an SVG element of these proportions that fills the width it is given.

    Text is in the page's font, colours are the page's variables, so that the chart follows the reader's light or
    dark. Matplotlib's own settings are left as they were.

    Args:
        draw: draws on the axes; words in it that come from data would be read as mathematics, so it has none.
        width: in points, which are pixels where the chart has room for as many.
        height: in points.
        label: what is drawn, for those who cannot see it.
        dpi: points of resolution of what is drawn rasterised.

    >>> "<svg" in chart(lambda axes: axes.plot([1, 2]), 320, 200, "a line")
    True
    """
    with mpl.rc_context(_STYLE):
        figure = Figure((width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=_ANONYMOUS, dpi=dpi)
    return _for_page(file.getvalue(), label)


def _for_page(svg: str, label: str) -> Markup:
    """The SVG element alone, without what clashes with a page: a size, groups' names, fonts and a style sheet."""
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None, "matplotlib gives every figure a viewBox"
    inner = svg[svg.index(">", view.end()) + 1 :]
    for pattern, replacement in (
        (r"<style.*?</style>", ""),
        (r'<g id="[^"]*"', "<g"),
        (r"font-family:[^;\"]*;? ?", ""),
        (r"\n\s*", " "),
    ):
        inner = re.sub(pattern, replacement, inner, flags=re.DOTALL)
    for stand_in, variable in _VARIABLES.items():
        inner = inner.replace(stand_in, f"var({variable})")
    return Markup(f'<svg class="chart" {view[0]} role="img" aria-label="{escape(label)}">{inner}')
