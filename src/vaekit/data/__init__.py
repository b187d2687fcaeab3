"""Data: sources, splits, the built-in sets, and how stored values become what a model explains."""

from __future__ import annotations

from vaekit.data.arrays import dataset, numpy_file
from vaekit.data.builtin import BUILTIN, BuiltIn, load_mnist
from vaekit.data.dataset import Dataset, Splits, refuse_infinite, refuse_nonfinite
from vaekit.data.emoji import Emoji, emoji_factors, load_emoji
from vaekit.data.encoding import BINARIZE, Binarize, Dynamic, Encoding, Greys, Static, Threshold, scaled
from vaekit.data.factors import FactorImages
from vaekit.data.idx import idx_folder, read_idx
from vaekit.data.layout import canonical_labels, canonical_rows
from vaekit.data.load import SOURCES, Source, load_data, open_data
from vaekit.data.splits import hold_out
from vaekit.data.sprites import Sprites, load_sprites, sprite_factors
from vaekit.data.streams import Streamed

__all__ = [
    "BINARIZE",
    "BUILTIN",
    "SOURCES",
    "Binarize",
    "BuiltIn",
    "Dataset",
    "Dynamic",
    "Emoji",
    "Encoding",
    "FactorImages",
    "Greys",
    "Source",
    "Splits",
    "Sprites",
    "Static",
    "Streamed",
    "Threshold",
    "canonical_labels",
    "canonical_rows",
    "dataset",
    "emoji_factors",
    "hold_out",
    "idx_folder",
    "load_data",
    "load_emoji",
    "load_mnist",
    "load_sprites",
    "numpy_file",
    "open_data",
    "read_idx",
    "refuse_infinite",
    "refuse_nonfinite",
    "scaled",
    "sprite_factors",
]
