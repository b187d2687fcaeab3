"""The jobs of a trained model: open it, use it, write what came of it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vaekit.cli.fitting import metrics_of
from vaekit.cli.options import Machine, Output, Place
from vaekit.cli.rundir import REPORT, open_model, run_config
from vaekit.cli.speak import answer, table
from vaekit.cli.writers import Arrays, refuse_place, write
from vaekit.common.errors import UsageError
from vaekit.common.files import refuse_existing, write_atomically
from vaekit.data import Dataset, Splits, Streamed, load_data, open_data
from vaekit.data.streams import MEMORY
from vaekit.fitting import held_out_rows
from vaekit.report import report


def rows_for(directory: Path, source: str | None) -> Dataset:
    """The rows to use: the test rows of the source, or of the run's own data; else its held-out or only rows."""
    config, name = run_config(directory), source_name(directory, source)
    data: Splits | Streamed = load_data(name) if source else open_data(name, config.get("memory", MEMORY))
    if isinstance(data, Streamed):
        return data.evaluated(config["validation"], config["seed"])[1]
    if data.test is not None:
        return data.test
    if source is None and (held_out := held_out_rows(data.train, config["validation"], config["seed"])):
        return held_out
    return data.train


def source_name(directory: Path, source: str | None) -> str:
    """The source, or what the run was trained on where none is named."""
    name: str | None = source or run_config(directory).get("source")
    if name is None:
        raise UsageError(f"{directory} does not say what it was trained on: name the data, as in {directory} mnist")
    return name


def first(rows: Dataset, count: int) -> Dataset:
    """The first rows, or all of them for 0."""
    if count < 0:
        raise UsageError(f"{count} rows: ask for 1 or more, or 0 for all")
    return rows.head(count) if count else rows


def written(place: Place, arrays: Arrays, output: Output) -> None:
    """Write arrays where they are wanted, and say so."""
    write(place, arrays)
    shapes = {name: list(value.shape) for name, value in arrays.items()}
    words = ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items())
    answer(output, {"out": str(place.out), "arrays": shapes}, f"{place.out}: {words}")


def evaluate_job(directory: Path, source: str | None, samples: int, machine: Machine, output: Output) -> None:
    """Evaluate, and print a table."""
    fitted = open_model(directory, machine.device)
    rows = rows_for(directory, source)
    record = fitted.evaluate(rows, samples, seed=machine.seed).as_record()
    record["density"] = str(fitted.about.density)
    known = [(name, value) for name, value in record.items() if value is not None]
    shown = [(name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in known]
    answer(output, record, table(("measure", "value"), shown))


def sample_job(directory: Path, place: Place, n: int, mean: bool, machine: Machine, output: Output) -> None:
    """Make new examples."""
    refuse_place(place)
    fitted = open_model(directory, machine.device)
    written(place, {"x": fitted.sample(n, mean=mean, seed=machine.seed)}, output)


def reconstruct_job(
    directory: Path, source: str | None, place: Place, count: int, machine: Machine, output: Output
) -> None:
    """Reconstruct rows."""
    refuse_place(place)
    fitted = open_model(directory, machine.device)
    rows = first(rows_for(directory, source), count)
    written(place, {"x": fitted.reconstruct(rows, seed=machine.seed)}, output)


def encode_job(
    directory: Path, source: str | None, place: Place, count: int, draws: int, machine: Machine, output: Output
) -> None:
    """Encode rows."""
    refuse_place(place)
    fitted = open_model(directory, machine.device)
    rows = first(rows_for(directory, source), count)
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
    refuse_place(place)
    if pairs < 1:
        raise UsageError(f"{pairs} pairs: ask for at least 1")
    fitted = open_model(directory, machine.device)
    rows = rows_for(directory, source)
    if len(rows) < 2 * pairs:
        raise UsageError(f"{pairs} pairs need {2 * pairs} rows, and there are {len(rows)}: ask for fewer")
    starts, ends = rows.head(pairs), rows.take(torch.arange(pairs, 2 * pairs))
    ways = fitted.interpolate(starts, ends, steps=steps, path=path, seed=machine.seed)
    written(place, {"x": ways}, output)


def report_job(
    directory: Path, source: str | None, place: Place | None, samples: int, machine: Machine, output: Output
) -> None:
    """Write the report anew, beside the model or where asked."""
    target = place.out if place else directory / REPORT
    refuse_existing(target, force=place is None or place.force)
    fitted = open_model(directory, machine.device)
    rows = rows_for(directory, source)
    evaluation = fitted.evaluate(rows, samples, seed=machine.seed)
    write_atomically(target, report(fitted, rows, evaluation, settings=run_config(directory)))
    answer(output, {"report": str(target)} | metrics_of(fitted, evaluation, "test"), f"report: {target}")


def inspect_job(directory: Path, output: Output) -> None:
    """Say what a model is."""
    fitted = open_model(directory, "cpu")
    about = fitted.about
    record = {
        "parts": str(fitted.model),
        "latents": list(fitted.latents),
        "weights": sum(weight.numel() for weight in fitted.model.parameters()),
        "event_shape": list(about.event_shape),
        "encoding": about.encoding.words,
        "density": str(about.density),
        "data": about.data,
        "training": dict(about.training),
    }
    answer(output, record, "\n".join(f"{name}: {value}" for name, value in record.items()))
