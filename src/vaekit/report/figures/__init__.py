"""Kinds of figure, one file each; every kind has a template of its own."""

from vaekit.report.figures.grid import Grid, Line
from vaekit.report.figures.image import Image
from vaekit.report.figures.message import Message
from vaekit.report.figures.panels import Key, Panel, Panels
from vaekit.report.figures.plates import Plate, Plates
from vaekit.report.figures.scatter import Scatter, Swatch
from vaekit.report.figures.sheet import Sheet
from vaekit.report.figures.strips import Strip, Strips
from vaekit.report.figures.tables import Row, Table, Tables

__all__ = [
    "Grid",
    "Image",
    "Key",
    "Line",
    "Message",
    "Panel",
    "Panels",
    "Plate",
    "Plates",
    "Row",
    "Scatter",
    "Sheet",
    "Strip",
    "Strips",
    "Swatch",
    "Table",
    "Tables",
]
