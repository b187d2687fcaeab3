"""What a scorer adds to a batch: scores, codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from vaekit.common.errors import UsageError, unknown
from vaekit.common.registry import Registry
from vaekit.data import Dataset
from vaekit.model import FittedVAE
from vaekit.scoring.tables import Columns
from vaekit.uses.encode import encode_each
from vaekit.uses.score import Scores


class Added(Protocol):
    """Columns that a model adds to rows. What it adds to a row must not depend on the others."""

    @property
    def dtype(self) -> type[np.floating]:
        """The type of its columns."""
        ...

    def names(self, fitted: FittedVAE) -> tuple[str, ...]:
        """The columns that are added, in order."""
        ...

    def columns(self, fitted: FittedVAE, rows: Dataset, seed: int) -> Columns:
        """The columns for these rows, `(n,)` each."""
        ...


def log_evidence(found: Scores) -> Tensor:
    """The importance-sampled log p(x)."""
    return found.log_evidence


def elbo(found: Scores) -> Tensor:
    """The evidence lower bound."""
    return found.elbo


MEASURES: Registry[Callable[[Scores], Tensor]] = Registry("measure", {"log_evidence": log_evidence, "elbo": elbo})
"""What a score can be the negative of."""


@dataclass(frozen=True)
class Score:
    """How unlikely a row is, in nats: `score`, -log p(x) or -ELBO, higher for odder rows; and `elbo` beside it.

    `samples` draws stand behind each. See `vaekit.uses.score`: the score of a row is a function of the row.

    >>> Score(by="elbo", samples=1)
    Score(by='elbo', samples=1)
    """

    by: str = "log_evidence"
    samples: int = 100

    @property
    def dtype(self) -> type[np.floating]:
        """Float64."""
        return np.float64

    def __post_init__(self) -> None:
        MEASURES[self.by]
        if self.samples < 1:
            raise UsageError(f"{self.samples} samples: a score needs at least 1")

    def names(self, fitted: FittedVAE) -> tuple[str, ...]:
        """`score` and `elbo`."""
        return ("score", "elbo")

    def columns(self, fitted: FittedVAE, rows: Dataset, seed: int) -> Columns:
        """Both in float64."""
        found = fitted.scores(rows, self.samples, seed=seed)
        return {"score": -MEASURES[self.by](found).numpy(), "elbo": found.elbo.numpy()}


@dataclass(frozen=True)
class Codes:
    """The posterior means of latents, all of them or those named: `z0`, `z1`, ... for a latent called z, float32.

    Where a name ends in a digit a line parts it from the coordinate: `z2_0`, `z2_1`, ...
    """

    latents: tuple[str, ...] = ()

    @property
    def dtype(self) -> type[np.floating]:
        """Float32."""
        return np.float32

    def names(self, fitted: FittedVAE) -> tuple[str, ...]:
        """A column for each coordinate of each latent."""
        return tuple(name for latent in self._chosen(fitted) for name in coordinates(latent, _width(fitted, latent)))

    def columns(self, fitted: FittedVAE, rows: Dataset, seed: int) -> Columns:
        """The codes of each row as if it were alone."""
        batch, encode = fitted.alone(rows), fitted.about.encoding.encode
        found: dict[str, np.ndarray] = {}
        for latent in self._chosen(fitted):
            codes = encode_each(fitted.model, batch, latent, encode, seed).flatten(1).float().cpu().numpy()
            found |= dict(zip(coordinates(latent, codes.shape[1]), codes.T, strict=True))
        return found

    def _chosen(self, fitted: FittedVAE) -> tuple[str, ...]:
        for name in self.latents:
            if name not in fitted.latents:
                raise unknown("latent", name, fitted.latents)
        return self.latents or fitted.latents


def coordinates(latent: str, width: int) -> list[str]:
    """The columns of a latent.

    >>> coordinates("z", 2), coordinates("z2", 2)
    (['z0', 'z1'], ['z2_0', 'z2_1'])
    """
    mark = "_" if latent[-1].isdigit() else ""
    return [f"{latent}{mark}{index}" for index in range(width)]


def _width(fitted: FittedVAE, latent: str) -> int:
    return math.prod(fitted.latent_shape(latent))
