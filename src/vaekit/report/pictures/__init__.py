"""Pictures: how one example is drawn, how drawn examples are set side by side, and the PNG they end in."""

from vaekit.report.pictures.fit import Fit
from vaekit.report.pictures.image import ImagePicture
from vaekit.report.pictures.picture import Picture, picture_for
from vaekit.report.pictures.png import data_uri, png
from vaekit.report.pictures.sheet import grid, line, stack
from vaekit.report.pictures.vector import VectorPicture

__all__ = ["Fit", "ImagePicture", "Picture", "VectorPicture", "data_uri", "grid", "line", "picture_for", "png", "stack"]
