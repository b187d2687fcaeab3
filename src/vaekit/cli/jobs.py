"""The jobs of a trained model: open it, use it, write what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from vaekit.cli.fitting import metrics_of
from vaekit.cli.options import Machine, Output, Place
from vaekit.cli.rows import opened, rows_for
from vaekit.cli.rundir import REPORT, open_model, run_config
from vaekit.cli.speak import answer, flat, in_columns, table
from vaekit.cli.writers import FRAME_WRITERS, WRITERS, Arrays, Endings, Framed, refuse_place, write
from vaekit.common.errors import UsageError
from vaekit.common.files import refuse_existing, write_atomically
from vaekit.model import Examples, FittedVAE
from vaekit.report import report

IN_PICTURE: Final = 64
"""Rows that a picture shows, if nothing is said."""


def written(place: Place, made: Arrays | Framed, output: Output) -> None:
    """Write results where they are wanted, and say so."""
    write(place, made)
    record, words = told_of_frame(made) if isinstance(made, Framed) else told_of_arrays(made)
    answer(output, {"out": str(place.out), **record}, f"{place.out}: {words}")


def told_of_arrays(arrays: Arrays) -> tuple[dict[str, Any], str]:
    """The shapes of arrays."""
    shapes = {name: list(value.shape) for name, value in arrays.items()}
    return {"arrays": shapes}, ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items())


def told_of_frame(made: Framed) -> tuple[dict[str, Any], str]:
    """The size of a table."""
    rows, columns = len(made.frame), made.columns
    return {"rows": rows, "columns": columns}, f"{rows:,} rows of {len(columns)} columns"


def ready_for(place: Place, directory: Path, machine: Machine) -> FittedVAE:
    """The model, once it is clear that what it makes can be written to the place."""
    fitted = opened(directory, machine.device)
    refuse_place(place, endings_for(fitted))
    return fitted


def endings_for(fitted: FittedVAE) -> Endings:
    """The endings of files that what a model makes can be written to."""
    return WRITERS if fitted.about.schema is None else FRAME_WRITERS


def made_by(fitted: FittedVAE, x: Examples, **axes: Sequence[Any]) -> Arrays | Framed:
    """Examples that a model made, to be written; of a table, with what its rows go through."""
    schema = fitted.about.schema
    return {"x": x} if schema is None else Framed(x, schema, axes=axes)


def evaluate_job(directory: Path, source: str | None, samples: int, machine: Machine, output: Output) -> None:
    """Evaluate, and print a table."""
    fitted = opened(directory, machine.device)
    rows = rows_for(directory, source, fitted).rows
    record = fitted.evaluate(rows, samples, seed=machine.seed).as_record()
    record["density"] = str(fitted.about.density)
    answer(output, record, table(("measure", "value"), flat(record)))


def sample_job(
    directory: Path, place: Place, n: int, mean: bool, given: Sequence[str], machine: Machine, output: Output
) -> None:
    """Make new examples."""
    fitted = ready_for(place, directory, machine)
    if mean and given:
        raise UsageError("what is made beside given columns are draws: leave --mean out")
    made = fitted.sample(n, mean=mean, given=cells_of(given) if given else None, seed=machine.seed)
    written(place, made_by(fitted, made), output)


def cells_of(given: Sequence[str]) -> dict[str, str]:
    """Cells by the names of their columns.

    >>> cells_of(["sex=female", "age=30"])
    {'sex': 'female', 'age': '30'}
    """
    parts = [each.partition("=") for each in given]
    odd = next((name for name, equals, _ in parts if not equals), None)
    if odd is not None:
        raise UsageError(f"--given {odd}: write it as column=value")
    return {name: value for name, _, value in parts}


def reconstruct_job(
    directory: Path, source: str | None, place: Place, count: int | None, machine: Machine, output: Output
) -> None:
    """Reconstruct rows."""
    fitted = ready_for(place, directory, machine)
    in_picture = IN_PICTURE if place.out.suffix == ".png" else 0
    rows = rows_for(directory, source, fitted).first(in_picture if count is None else count)
    written(place, made_by(fitted, fitted.reconstruct(rows.given, seed=machine.seed)), output)


def encode_job(
    directory: Path, source: str | None, place: Place, count: int, draws: int, machine: Machine, output: Output
) -> None:
    """Encode rows."""
    refuse_place(place)
    fitted = opened(directory, machine.device)
    rows = rows_for(directory, source, fitted).first(count).rows
    codes: dict[str, Tensor] = {}
    for latent in fitted.latents:
        if draws:
            codes[latent] = fitted.encode_draws(rows, draws, latent=latent, seed=machine.seed).transpose(0, 1)
        else:
            codes[latent] = fitted.encode(rows, latent=latent, seed=machine.seed)
    labels = {} if rows.y is None else {"y": rows.y}
    written(place, codes | labels, output)


def interpolate_job(
    directory: Path,
    source: str | None,
    place: Place,
    pairs: int,
    steps: int,
    path: str,
    machine: Machine,
    output: Output,
) -> None:
    """Interpolate between rows."""
    if pairs < 1:
        raise UsageError(f"{pairs} pairs: ask for at least 1")
    fitted = ready_for(place, directory, machine)
    rows = rows_for(directory, source, fitted).rows
    if len(rows) < 2 * pairs:
        raise UsageError(f"{pairs} pairs need {2 * pairs} rows, and there are {len(rows)}: ask for fewer")
    starts, ends = rows.head(pairs), rows.take(torch.arange(pairs, 2 * pairs))
    ways = fitted.interpolate(starts, ends, steps=steps, path=path, seed=machine.seed)
    written(place, made_by(fitted, ways, way=range(pairs), step=range(steps)), output)


def report_job(
    directory: Path, source: str | None, place: Place | None, samples: int, machine: Machine, output: Output
) -> None:
    """Write the report anew, beside the model or where asked."""
    target = place.out if place else directory / REPORT
    refuse_existing(target, force=place is None or place.force)
    fitted = opened(directory, machine.device)
    used = rows_for(directory, source, fitted)
    evaluation = fitted.evaluate(used.rows, samples, seed=machine.seed)
    page = report(fitted, used.rows, evaluation, settings=run_config(directory), kind=used.kind)
    write_atomically(target, page)
    answer(output, {"report": str(target)} | metrics_of(fitted, evaluation, "test"), f"report: {target}")


def inspect_job(directory: Path, output: Output) -> None:
    """Say what a model is."""
    fitted = open_model(directory, "cpu")
    about = fitted.about
    record = {
        "latents": list(fitted.latents),
        "weights": fitted.model.weights,
        "event_shape": list(about.event_shape),
        "encoding": about.encoding.words,
        "density": str(about.density),
        "data": about.data,
        "training": dict(about.training),
    }
    words = "\n".join(in_columns(flat(record)))
    answer(output, {"parts": str(fitted.model), **record}, f"{fitted.model}\n\n{words}")
