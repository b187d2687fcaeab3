"""The job that gives a trained model a better prior."""

from __future__ import annotations

from pathlib import Path

from vaekit.cli.options import Machine, Output, Place
from vaekit.cli.rows import rows_learnt_from
from vaekit.cli.rundir import open_model
from vaekit.cli.speak import answer
from vaekit.common.files import refuse_existing


def refit_job(
    directory: Path,
    source: str | None,
    place: Place,
    prior: str,
    latent: str | None,
    draws: int,
    machine: Machine,
    output: Output,
) -> None:
    """Fit a prior to the codes, and write the model that has it."""
    refuse_existing(place.out, force=place.force)
    fitted = open_model(directory, machine.device)
    rows = rows_learnt_from(directory, source, fitted).rows
    refitted = fitted.refit_prior(rows, prior, latent=latent, draws=draws, seed=machine.seed)
    refitted.save(place.out, force=place.force)
    record = {"out": str(place.out), "latent": latent or fitted.latents[0], "prior": prior, "rows": len(rows)}
    answer(output, record, "{out}: the prior of {latent} is now a {prior} fitted to {rows} rows".format(**record))
