"""Colours for labels."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

DISTINCT = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
"""Ten colours that are told apart with every kind of colour vision. Source: Petroff, 2021."""


def palette(n: int) -> tuple[str, ...]:
    """A colour for each of `n` labels: distinct ones for up to ten, else evenly from a continuous scale.

    >>> palette(2), len(set(palette(26)))
    (('#3f90da', '#ffa90e'), 26)
    """
    if n <= len(DISTINCT):
        return DISTINCT[:n]
    return tuple(to_hex(colour) for colour in mpl.colormaps["viridis"](np.linspace(0.1, 0.95, n)))
