"""The job that fills what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from vaekit.cli.jobs import ready_for, told_of_arrays, told_of_frame
from vaekit.cli.options import Machine, Output, Place
from vaekit.cli.rows import Used, all_rows
from vaekit.cli.speak import answer
from vaekit.cli.writers import Arrays, Framed, write
from vaekit.common.errors import UsageError
from vaekit.model import FittedVAE

SAMPLES, SAMPLES_OF_DRAWS = 1000, 200
"""Draws of the latents for each row: for one best guess, and behind copies."""


def complete_job(
    directory: Path,
    source: str | None,
    place: Place,
    draws: int,
    samples: int | None,
    by: str,
    machine: Machine,
    output: Output,
) -> None:
    """Fill what is missing, once or in several copies."""
    if draws < 0:
        raise UsageError(f"{draws} draws: ask for 1 or more, or 0 for one best guess")
    if draws and by != "mean":
        raise UsageError(f"--by {by} is for one best guess, and --draws for copies that differ: leave one out")
    fitted = ready_for(place, directory, machine)
    rows = all_rows(directory, source, fitted)
    if draws:
        found = fitted.completion_draws(rows.given, draws, samples=samples or SAMPLES_OF_DRAWS, seed=machine.seed)
        x, ess = found.x.cpu(), found.diagnostics.ess
    else:
        once = fitted.completion(rows.given, samples or SAMPLES, by=by, seed=machine.seed)
        x, ess = once.x.cpu(), once.ess
    made = completed(rows, x, fitted)
    write(place, made)
    record, words = told_of_frame(made) if isinstance(made, Framed) else told_of_arrays(made)
    holes = _holes(rows, ess)
    answer(output, {"out": str(place.out), **record, **holes}, f"{place.out}: {words}; {_told(holes)}")


def completed(rows: Used, x: Tensor, fitted: FittedVAE) -> Arrays | Framed:
    """Completed rows `(n, *event)`, or copies of them `(draw, n, *event)`, to be written: as they were written."""
    schema = fitted.about.schema
    if schema is None or rows.frame is None:
        return {"x": x}
    if x.dim() == rows.rows.x.dim():
        return Framed(schema.decode(x, like=rows.frame), schema)
    import pandas  # only a table needs it

    copies = pandas.concat([schema.decode(copy, like=rows.frame) for copy in x], ignore_index=True)
    return Framed(copies, schema, axes={"draw": range(1, len(x) + 1), "row": range(len(rows))})


def _holes(rows: Used, ess: Tensor) -> dict[str, Any]:
    """What there was to fill, and by how many effective draws."""
    holed = rows.rows.x.isnan().flatten(1)
    effective = ess[holed.any(1).cpu()]
    if not len(effective):
        return {"filled": 0, "incomplete_rows": 0}
    draws = {"median": float(effective.median()), "fewest": float(effective.min())}
    return {"filled": int(holed.sum()), "incomplete_rows": len(effective), "effective_draws": draws}


def _told(holes: dict[str, Any]) -> str:
    if not holes["filled"]:
        return "nothing was missing"
    draws = holes["effective_draws"]
    return (
        f"{holes['filled']:,} cells filled in {holes['incomplete_rows']:,} rows, by "
        f"{draws['median']:.0f} effective draws in the median row and {draws['fewest']:.1f} in the worst"
    )
