"""Models in directories, as a scorer wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vaekit.about import About
from vaekit.core import Density
from vaekit.data import BINARIZE, Encoding
from vaekit.model import FittedVAE
from vaekit.recipes import build


def saved_model(path: Path, recipe: str, shape: tuple[int, ...] = (6,), seed: int = 0, **options: Any) -> Path:
    model = build(recipe, shape, seed=seed, **options).model
    return FittedVAE(model, About(shape, Encoding(BINARIZE["none"]()), Density("x", "mass"))).save(path)
