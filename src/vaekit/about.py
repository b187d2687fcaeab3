"""What is known about a fitted model besides its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vaekit.core import VAE, Density, Explains
from vaekit.data import Encoding
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
