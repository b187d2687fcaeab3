"""Data: sources, splits, the built-in sets, and how stored values become what a model explains."""

from __future__ import annotations

from vaekit.data.arrays import dataset, numpy_file
from vaekit.data.builtin import BUILTIN, BuiltIn, load_mnist
from vaekit.data.dataset import Dataset, Splits, refuse_nonfinite
from vaekit.data.encoding import BINARIZE, Binarize, Dynamic, Encoding, Greys, Static, Threshold, scaled
from vaekit.data.idx import idx_folder, read_idx
from vaekit.data.layout import canonical_labels, canonical_rows
from vaekit.data.load import SOURCES, Source, load_data
from vaekit.data.splits import hold_out
from vaekit.data.sprites import Sprites, load_sprites, sprite_factors

__all__ = [
    "BINARIZE",
    "BUILTIN",
    "SOURCES",
    "Binarize",
    "BuiltIn",
    "Dataset",
    "Dynamic",
    "Encoding",
    "Greys",
    "Source",
    "Splits",
    "Sprites",
    "Static",
    "Threshold",
    "canonical_labels",
    "canonical_rows",
    "dataset",
    "hold_out",
    "idx_folder",
    "load_data",
    "load_mnist",
    "load_sprites",
    "numpy_file",
    "read_idx",
    "refuse_nonfinite",
    "scaled",
    "sprite_factors",
]
