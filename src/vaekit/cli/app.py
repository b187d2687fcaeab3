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
    schema: Path | None = None,
    config: Path | None = None,
    resume: Path | None = None,
    print_config: bool = False,
    output: Output = OUTPUT,
) -> None:
    """Train a VAE, evaluate it on the test rows, and write the model, its numbers and a report.

    Parameters
    ----------
    source
        A table (.csv, .tsv, .parquet, .feather; text also with .gz), a built-in name (see `vaekit data`), a .npy or
        .npz file, a folder of images, of IDX or of Parquet files.
    recipe
        Which VAE: see `vaekit recipes`.
    model
        The recipe's own settings, e.g. --model.latent 32 --model.hidden 512,256: see `vaekit recipes NAME`.
    schema
        What the columns of a table are, as `vaekit schema` writes it; inferred where it is not given.
    config
        A TOML file with any of these settings, such as the config.toml of an earlier run.
    resume
        A run to go on with where it broke off, with its own settings: vaekit fit --resume runs/first.
    print_config
        Print the settings as they are resolved, and stop.
    """
    from vaekit.cli.fitting import Request, fit_job, show_config

    request = Request(
        source, place.out, recipe, model or {}, training, machine, place.force, resume is not None, schema
    )
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
    given: tuple[str, ...] = (),
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Make new examples: .npy, .npz, .csv, or .png for images; of a table .csv, .tsv, .parquet, .feather or .npy.

    Parameters
    ----------
    n
        How many.
    mean
        The mean of each, without the likelihood's own noise.
    given
        For a table, a cell that all new rows have: --given sex=female --given age=30.
    """
    from vaekit.cli.jobs import sample_job

    sample_job(directory, place, n, mean, given, machine, output)


@app.command
def reconstruct(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    rows: int | None = None,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Pass rows through the latents and back.

    Parameters
    ----------
    rows
        How many of the first rows; 0 for all. If left out 64 in a picture, all in any other file.
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
    by: str = "log_evidence",
    samples: int = 100,
    shares: bool = False,
    rows: int = 0,
    bulk: Bulk = BULK,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Score how odd rows are: by -log p(x), in nats, higher for odder rows; each as if it were alone.

    Where the run kept rows back and others are scored, with the share of those that are at least as odd (p_value).

    Into a file (.npy, .npz, .csv), or into a folder part by part: for sources larger than memory, Parquet, .csv or
    .npy among them. A job that was broken off goes on where it was when the same command is given again.

    Parameters
    ----------
    by
        log_evidence, elbo, reconstruction, latent, mahalanobis, likelihood_regret, complexity or typicality.
    samples
        Draws of the latents for each row.
    shares
        With what each column's share of -log p(x) is.
    rows
        How many of the first rows; 0 for all.
    """
    from vaekit.cli.scoring import score_job
    from vaekit.scoring import Score

    score_job(directory, source, place, Score(by, samples), shares, rows, bulk, machine, output)


@app.command
def complete(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    draws: int = 0,
    samples: int | None = None,
    by: Literal["mean", "median", "mode"] = "mean",
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Fill what is missing; what is there stays as it is. Of a table .csv, .tsv, .parquet, .feather or .npy.

    Without a source, in the whole table that the run was trained on.

    Parameters
    ----------
    draws
        Copies that differ as much as the model is uncertain, below each other; 0 for one best guess.
    samples
        Draws of the latents for each row: 1000, or 200 behind copies.
    by
        Of numbers the conditional mean, the median or the mode; levels are the most probable ones.
    """
    from vaekit.cli.completing import complete_job

    complete_job(directory, source, place, draws, samples, by, machine, output)


@app.command
def classify(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    samples: int = 0,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Write the most probable class of each row, and the probability of each class.

    By the model itself where it has labels for a latent (m2, m1_m2, adgm); else by a classifier that is taught on the
    codes of the labelled rows that it was trained on.

    Parameters
    ----------
    samples
        Draws behind p(y | x) by importance sampling; 0 for what the model learnt to tell, q(y | x).
    """
    from vaekit.cli.groups import classify_job

    classify_job(directory, source, place, samples, machine, output)


@app.command
def cluster(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    most: int = 10,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Write the cluster of each row: the model's own (gm_vae, vade), else of a mixture that picks its number.

    Parameters
    ----------
    most
        Clusters of such a mixture, at most.
    """
    from vaekit.cli.groups import cluster_job

    cluster_job(directory, source, place, most, machine, output)


@app.command
def traverse(
    directory: RunDir,
    source: Source = None,
    *,
    place: Place,
    row: int | None = None,
    latent: str | None = None,
    coordinates: str = "",
    steps: int = 11,
    reach: float = 3.0,
    machine: Machine = MACHINE,
    output: Output = OUTPUT,
) -> None:
    """Show what each latent coordinate does: it alone goes along, the others stay.

    Parameters
    ----------
    row
        From the code of this row; from the centre of the prior if none is named.
    latent
        Whose coordinates; those of the first latent if none is named.
    coordinates
        Which, from 0: 0,3,7; all if left out.
    steps
        Points on each way, ends included.
    reach
        How far, in standard deviations of the prior.
    """
    from vaekit.cli.traversing import Ways, traverse_job

    traverse_job(directory, source, place, Ways(row, latent, coordinates, steps, reach), machine, output)


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
def schema(
    source: str,
    *,
    schema: Path | None = None,
    out: Annotated[Path | None, Parameter(name=("--out", "-o"))] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    output: Output = OUTPUT,
) -> None:
    """Say what the columns of a table are taken for, or write it, to be edited and passed to `vaekit fit --schema`.

    Parameters
    ----------
    source
        A table: .csv, .tsv, .parquet, .feather; text also with .gz.
    schema
        A file that says part of it, as edited by hand: what it leaves out is inferred.
    out
        Where to write it, as TOML.
    force
        Write over what is there.
    """
    from vaekit.cli.schemas import schema_job

    schema_job(source, schema, out, force, output)


@app.command
def data(source: str | None = None, *, output: Output = OUTPUT) -> None:
    """List the built-in data sets, or say what a source holds.

    Parameters
    ----------
    source
        A built-in name, a table (.csv, .parquet, ...), a .npy or .npz file, a folder of images or of IDX files.
    """
    from vaekit.cli.catalogue import data_job, source_job

    if source is None:
        data_job(output)
    else:
        source_job(source, output)


def main() -> None:
    """The entry point of the `vaekit` command."""
    leave(launch(app, sys.argv[1:]))
