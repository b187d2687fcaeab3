"""What is known about a fitted model besides its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vaekit.common.seeds import seeded
from vaekit.core import VAE, Density, Explains
from vaekit.data import Dataset, Encoding
from vaekit.train import Epoch


@dataclass(frozen=True)
class About:
    """The data a model was made for, how it was trained, and what its numbers are a density of."""

    event_shape: tuple[int, ...]
    encoding: Encoding
    density: Density
    data: str = "data"
    training: Mapping[str, Any] = field(default_factory=dict)
    """The settings and the circumstances: seed, device, seconds, versions."""
    history: tuple[Epoch, ...] = ()


def density_of(model: VAE, x: Tensor) -> Density:
    """What the model's likelihood is a density of, for data like `x`."""
    if isinstance(model.likelihood, Explains):
        return model.likelihood.density(x)
    return Density("x", "log-probability")


def density_of_rows(model: VAE, rows: Dataset, encoding: Encoding) -> Density:
    """What it is for all of these rows as the model sees them: no likelihood, where it is none for some of them."""
    with seeded(0):
        found = [density_of(model, encoding.encode(part)) for part in rows.x.split(8192)]
    return next((density for density in found if not density.is_likelihood), found[0])
