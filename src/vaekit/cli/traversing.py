"""The job that shows what latent coordinates do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from vaekit.cli.jobs import made_by, ready_for, written
from vaekit.cli.options import Machine, Output, Place
from vaekit.cli.rows import rows_for
from vaekit.common.errors import UsageError
from vaekit.data import Dataset
from vaekit.model import FittedVAE


@dataclass(frozen=True)
class Ways:
    """Where ways through the latent space start, and how they go."""

    row: int | None
    """The row that they start from; the centre of the prior if none is named."""
    latent: str | None
    coordinates: str
    """Numbers between commas; all of them if there are none."""
    steps: int
    reach: float

    @property
    def chosen(self) -> tuple[int, ...]:
        """The coordinates, if any are named."""
        try:
            return tuple(int(name) for name in self.coordinates.split(",") if name.strip())
        except ValueError as error:
            raise UsageError(f"coordinates {self.coordinates!r}: give numbers from 0 between commas, as 0,3") from error


def traverse_job(
    directory: Path, source: str | None, place: Place, ways: Ways, machine: Machine, output: Output
) -> None:
    """Let one coordinate after another go along."""
    fitted = ready_for(place, directory, machine)
    if source is not None and ways.row is None:
        raise UsageError(f"{source} is read for the row to start from: name it, as in --row 0")
    start = None if ways.row is None else _row(directory, source, fitted, ways.row)
    made = fitted.traverse(
        start, latent=ways.latent, coordinates=ways.chosen, steps=ways.steps, reach=ways.reach, seed=machine.seed
    )
    size = torch.Size(fitted.latent_shape(ways.latent or fitted.latents[0])).numel()
    at = torch.linspace(-ways.reach, ways.reach, ways.steps, dtype=torch.float64).tolist()
    written(
        place, made_by(fitted, made, coordinate=ways.chosen or range(size), at=[round(step, 6) for step in at]), output
    )


def _row(directory: Path, source: str | None, fitted: FittedVAE, row: int) -> Dataset:
    rows = rows_for(directory, source, fitted).rows
    if not 0 <= row < len(rows):
        raise UsageError(f"row {row}: there are {len(rows):,}, numbered from 0")
    return rows.take([row])
