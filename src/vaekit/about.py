"""What is known about a fitted model besides its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vaekit.common.errors import RowError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Density, Explains
from vaekit.data import Dataset, Encoding, scaled
from vaekit.data.dataset import first_row, refuse_infinite, refuse_nonfinite
from vaekit.families.point import point_latents
from vaekit.train import Epoch

if TYPE_CHECKING:
    from vaekit.data.tables import Schema


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
    schema: Schema | None = None
    """The columns of the table that the rows are from, if they are from one."""


def density_of(model: VAE, x: Tensor) -> Density:
    """What the model's numbers are a density of, for data like `x`: given its code, where the posterior is a point."""
    found = model.likelihood.density(x) if isinstance(model.likelihood, Explains) else Density("x", "log-probability")
    if point_latents(model):
        return replace(found, of=f"{found.of} given their code", is_likelihood=False, level_bits=None)
    return found


def density_of_rows(model: VAE, rows: Dataset, encoding: Encoding) -> Density:
    """What it is for all of these rows as the model sees them: no likelihood, where it is none for some of them."""
    with seeded(0):
        found = (density_of(model, encoding.encode(part)) for part in rows.x.split(8192))
        first = next(found)
        return next((density for density in chain([first], found) if not density.is_likelihood), first)


def explains_holes(model: VAE, rows: Dataset) -> bool:
    """Whether the model's likelihood leaves out what is missing, as NaN, of rows like these."""
    if not isinstance(model.likelihood, Explains):
        return False
    return bool(model.likelihood.support.check(torch.full((1, *rows.event_shape), torch.nan)).all())


def refuse_unexplained(model: VAE, rows: Dataset) -> None:
    """Refuse values outside the support of the model's likelihood, naming the first row that has one.

    What is missing, as NaN, is refused where the likelihood cannot leave it out.
    """
    (refuse_infinite if explains_holes(model, rows) else refuse_nonfinite)(rows)
    if not isinstance(model.likelihood, Explains):
        return
    support = model.likelihood.support
    for start, part in zip(range(0, len(rows), 8192), rows.x.split(8192), strict=True):
        x = scaled(part)
        outside = ~support.check(x)
        outside = outside if outside.shape == x.shape else outside.unsqueeze(-1)
        if (row := first_row(outside)) is not None:
            value = float(x[row][outside[row].expand_as(x[row])][0])
            raise RowError(
                start + row,
                "x",
                f"holds {value:g}, outside what the likelihood explains ({support}): "
                "rescale the data, or choose another likelihood",
            )
