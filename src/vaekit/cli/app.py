"""The verbs: their signatures and their help. Each hands on to a job that loads what it needs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from vaekit import __version__
from vaekit.cli.launch import launch
from vaekit.cli.options import Bulk, Machine, Output, Place, Training
from vaekit.common.leaving import leave

app = App(
    name="vaekit",
    help="Variational autoencoders: from data to a trained model, an honest likelihood and a report.",
    help_epilogue="Start with: vaekit fit mnist --out runs/first. Settings come from flags, then from the "
    "environment (VAEKIT_EPOCHS=10), then from --config FILE, then from the defaults.",
    version=__version__,
    default_parameter=Parameter(show_env_var=False, negative=""),
)

OUTPUT, MACHINE, TRAINING, BULK = Output(), Machine(), Training(), Bulk()
RunDir = Annotated[Path, Parameter(help="A run, or a model directory.")]
Source = Annotated[str | None, Parameter(help="Data to use; what the run was trained on if none is given.")]


@app.command
def fit(
    source: str,
    *,
    place: Place,
    recipe: str = "vae",
    model: dict[str, str] | None = None,
    training: Training = TRAINING,
    machine: Machine = MACHINE,
    config: Path | None = None,
    resume: Path | None = None,
    print_config: bool = False,
    output: Output = OUTPUT,
) -> None:
    """Train a VAE, evaluate it on the test rows, and write the model, its numbers and a report.

    Parameters
    ----------
    source
        A built-in name (see `vaekit data`), a .npy, .npz, Parquet or Arrow file, a folder of images or of IDX files.
    recipe
        Which VAE: see `vaekit recipes`.
    model
        The recipe's own settings, e.g. --model.latent 32 --model.hidden 512,256: see `vaekit recipes NAME`.
    config
        A TOML file with any of these settings, such as the config.toml of an earlier run.
    resume
        A run to go on with where it broke off, with its own settings: vaekit fit --resume runs/first.
    print_config
        Print the settings as they are resolved, and stop.
    """
    from vaekit.cli.fitting import Request, fit_job, show_config

    request = Request(source, place.out, recipe, model or {}, training, machine, place.force, resume is not None)
    if print_config:
        show_config(request)
    else:
        fit_job(request, output)


@app.command
def evaluate(
    directory: RunDir,
    source: Source = None,
    *,
    samples: int = 1000,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Evaluate a model: ELBO, its terms, log p(x) with its standard error, active units.

    Parameters
    ----------
    samples
        Importance samples for each row.
    """
    from vaekit.cli.jobs import evaluate_job

    evaluate_job(directory, source, samples, machine, output)


@app.command
def sample(
    directory: RunDir,
    *,
    place: Place,
    n: Annotated[int, Parameter(name=("-n", "--number"))] = 64,
    mean: bool = False,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Make new examples: .npy, .npz, .csv, or .png for images.

    Parameters
    ----------
    n
        How many.
    mean
        The mean of each, without the likelihood's own noise.
    """
    from vaekit.cli.jobs import sample_job

    sample_job(directory, place, n, mean, machine, output)


@app.command
def reconstruct(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    rows: int = 64,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Pass rows through the latents and back.

    Parameters
    ----------
    rows
        How many of the first rows; 0 for all.
    """
    from vaekit.cli.jobs import reconstruct_job

    reconstruct_job(directory, source, place, rows, machine, output)


@app.command
def encode(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    rows: int = 0,
    draws: int = 0,
    bulk: Bulk = BULK,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Write the latent codes of rows, with their labels where there are any.

    Into a file (.npy, .npz, .csv), or into a folder part by part: for sources larger than memory, Parquet, .csv or
    .npy among them. A job that was broken off goes on where it was when the same command is given again.

    Parameters
    ----------
    rows
        How many of the first rows; 0 for all.
    draws
        Draws from each posterior; 0 for its mean. Into a file only.
    """
    from vaekit.cli.scoring import codes_job

    codes_job(directory, source, place, rows, draws, bulk, machine, output)


@app.command
def score(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    by: Literal["log_evidence", "elbo"] = "log_evidence",
    samples: int = 100,
    rows: int = 0,
    bulk: Bulk = BULK,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Score rows, in nats: -log p(x), higher for odder rows. The score of a row does not depend on the others.

    Into a file (.npy, .npz, .csv), or into a folder part by part: for sources larger than memory, Parquet, .csv or
    .npy among them. A job that was broken off goes on where it was when the same command is given again.

    Parameters
    ----------
    by
        Of what the score is the negative: log_evidence or elbo.
    samples
        Importance samples for each row.
    rows
        How many of the first rows; 0 for all.
    """
    from vaekit.cli.scoring import score_job
    from vaekit.scoring import Score

    score_job(directory, source, place, Score(by, samples), rows, bulk, machine, output)


@app.command
def refit(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    prior: Literal["normal", "mixture", "flow"] = "mixture",
    latent: str | None = None,
    draws: int = 1,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Fit a prior to the codes of the training rows, and write a model directory with it: its samples get better.

    Parameters
    ----------
    prior
        normal (full covariance), mixture (of such) or flow.
    latent
        Whose prior; that of the first latent if none is named.
    draws
        Codes from the posterior of each row.
    """
    from vaekit.cli.refit import refit_job

    refit_job(directory, source, place, prior, latent, draws, machine, output)


@app.command
def interpolate(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    pairs: int = 8,
    steps: int = 10,
    path: Literal["spherical", "linear"] = "spherical",
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Go from one row to another through the latent space.

    Parameters
    ----------
    pairs
        How many ways: from each of the first rows to one of the next.
    steps
        Points on each way, ends included.
    path
        spherical, which keeps to where the prior's draws are, or linear.
    """
    from vaekit.cli.jobs import interpolate_job

    interpolate_job(directory, source, place, pairs, steps, path, machine, output)


@app.command
def report(
    directory: RunDir,
    source: Source = None,
    *,
    place: Annotated[Place | None, Parameter()] = None,
    samples: int = 100,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Write the report of a run anew: one HTML page to look at.

    Parameters
    ----------
    samples
        Importance samples for each row.
    """
    from vaekit.cli.jobs import report_job

    report_job(directory, source, place, samples, machine, output)


@app.command
def inspect(directory: RunDir, *, output: Output = OUTPUT) -> None:
    """Say what a model is: its parts, its weights, its data and how it was trained."""
    from vaekit.cli.jobs import inspect_job

    inspect_job(directory, output)


@app.command
def recipes(name: str | None = None, *, output: Output = OUTPUT) -> None:
    """List the recipes, or show one.

    Parameters
    ----------
    name
        A recipe, to see its paper and its settings.
    """
    from vaekit.cli.catalogue import recipe_job, recipes_job

    if name is None:
        recipes_job(output)
    else:
        recipe_job(name, output)


@app.command
def data(source: str | None = None, *, output: Output = OUTPUT) -> None:
    """List the built-in data sets, or say what a source holds.

    Parameters
    ----------
    source
        A built-in name, a .npy, .npz, Parquet or Arrow file, a folder of images or of IDX files.
    """
    from vaekit.cli.catalogue import data_job, source_job

    if source is None:
        data_job(output)
    else:
        source_job(source, output)


def main() -> None:
    """The entry point of the `vaekit` command."""
    leave(launch(app, sys.argv[1:]))
