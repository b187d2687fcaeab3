"""What a scorer adds to a batch: scores, codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vaekit.common.errors import UsageError, unknown
from vaekit.common.registry import Registry
from vaekit.data import Dataset
from vaekit.model import FittedVAE, Rows
from vaekit.scoring.tables import Columns
from vaekit.uses.encode import encode_each
from vaekit.uses.score import Scores
from vaekit.uses.scores import SCORES, LearnsRows, Reference, Scorer, ready


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
"""Scores that are the negative of a bound: they are had together."""


@dataclass(frozen=True)
class Score:
    """How odd a row is: `score`, higher for odder rows; for -log p(x) and -ELBO, in nats, with `elbo` beside it.

    `samples` draws stand behind each. See `vaekit.uses.scores`: the score of a row is a function of the row.
    A score that learns from known rows is shown them first, by `shown`.

    >>> Score(by="elbo", samples=1)
    Score(by='elbo', samples=1)
    """

    by: str = "log_evidence"
    samples: int = 100
    learnt: Scorer | None = field(default=None, repr=False)
    """The score, once it has learnt from known rows."""

    @property
    def dtype(self) -> type[np.floating]:
        """Float64."""
        return np.float64

    def __post_init__(self) -> None:
        SCORES[self.by]
        if self.samples < 1:
            raise UsageError(f"{self.samples} samples: a score needs at least 1")

    @property
    def learns(self) -> bool:
        """Whether it is to be shown known rows first."""
        return isinstance(SCORES[self.by], LearnsRows)

    def shown(self, fitted: FittedVAE, known: Rows, seed: int) -> Score:
        """The score that has learnt from known rows, such as those that the model was trained on."""
        encode = fitted.about.encoding.encode
        return replace(
            self, learnt=ready(SCORES[self.by], fitted.model, fitted.alone(known), self.samples, seed, encode)
        )

    def names(self, fitted: FittedVAE) -> tuple[str, ...]:
        """`score`, and where it is by them `elbo`."""
        return ("score", "elbo") if self.by in MEASURES else ("score",)

    def columns(self, fitted: FittedVAE, rows: Dataset, seed: int) -> Columns:
        """In float64."""
        if self.by not in MEASURES:
            return {"score": fitted.score(rows, self.learnt or self.by, self.samples, seed=seed).numpy()}
        found = fitted.scores(rows, self.samples, seed=seed)
        return {"score": -MEASURES[self.by](found).numpy(), "elbo": found.elbo.numpy()}


@dataclass(frozen=True)
class Judged:
    """A score, and what it means: `p_value`, the share of held-out rows that are at least as odd.

    See `vaekit.uses.scores.Reference`.
    """

    score: Score
    reference: Reference = field(repr=False)

    @staticmethod
    def beside(score: Score, fitted: FittedVAE, held_out: Dataset, seed: int) -> Judged:
        """The score beside those of held-out rows."""
        return Judged(score, Reference(torch.from_numpy(score.columns(fitted, held_out, seed)["score"])))

    @property
    def dtype(self) -> type[np.floating]:
        """Float64."""
        return np.float64

    def names(self, fitted: FittedVAE) -> tuple[str, ...]:
        """Those of the score, and `p_value`."""
        return (*self.score.names(fitted), "p_value")

    def columns(self, fitted: FittedVAE, rows: Dataset, seed: int) -> Columns:
        """In float64."""
        found = self.score.columns(fitted, rows, seed)
        return {**found, "p_value": self.reference.p_values(torch.from_numpy(found["score"])).numpy()}


@dataclass(frozen=True)
class ShareOfEach:
    """What -log p(x) of a row is made of, in nats: `share_` and the column's name for each, and `share_latent`.

    See `vaekit.uses.scores.shares`; they add up to the score by log_evidence of as many samples.
    """

    samples: int = 100

    @property
    def dtype(self) -> type[np.floating]:
        """Float64."""
        return np.float64

    def names(self, fitted: FittedVAE) -> tuple[str, ...]:
        """A column for each column of a table or coordinate of an array, and one for the latents."""
        schema, shape = fitted.about.schema, fitted.about.event_shape
        each = range(math.prod(shape)) if schema is None else [column.name for column in schema.modelled]
        return (*(f"share_{name}" for name in each), "share_latent")

    def columns(self, fitted: FittedVAE, rows: Dataset, seed: int) -> Columns:
        """In float64."""
        found = fitted.shares(rows, self.samples, seed=seed)
        values = (*found.columns.flatten(1).T, found.latent)
        return {name: value.numpy() for name, value in zip(self.names(fitted), values, strict=True)}


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
