"""The jobs that tell rows apart: into classes that have labels, into clusters that have none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from vaekit.cli.jobs import endings_for, written
from vaekit.cli.options import Machine, Output, Place
from vaekit.cli.rows import all_rows, opened, rows_learnt_from
from vaekit.cli.scoring import added_to
from vaekit.cli.speak import remark
from vaekit.cli.writers import refuse_place
from vaekit.common.errors import UsageError
from vaekit.model import FittedVAE, Rows
from vaekit.train.rows.labels import LABEL
from vaekit.uses.classify import taught


def classify_job(
    directory: Path, source: str | None, place: Place, samples: int, machine: Machine, output: Output
) -> None:
    """Write the class of each row, and the probability of each class."""
    fitted = opened(directory, machine.device)
    refuse_place(place, endings_for(fitted))
    rows = all_rows(directory, source, fitted)
    if LABEL in fitted.latents:
        probabilities = fitted.classify(rows.given, samples, seed=machine.seed)
    else:
        probabilities = _by_codes(fitted, rows_learnt_from(directory, None, fitted).given, rows.given, output)
    found = _classes(fitted, probabilities.cpu())
    written(place, added_to(rows, found, fitted), output)


def _by_codes(fitted: FittedVAE, known: Rows, rows: Rows, output: Output) -> Tensor:
    """The probability of each class by a classifier that is taught on the codes of labelled rows."""
    labels = fitted.rows(known).y
    if labels is None:
        raise UsageError(
            "neither the model nor what it was trained on has labels: fit one that has them, as with the recipe m2; "
            'of a table, give the column of labels role = "label" in its schema'
        )
    remark(
        output, f"the model has no latent for the class: a classifier is taught on {int((labels >= 0).sum()):,} codes"
    )
    return taught(fitted.model, fitted.batch(known), labels, fitted.latents[0])(fitted.batch(rows))


def _classes(fitted: FittedVAE, probabilities: Tensor) -> dict[str, np.ndarray]:
    """The most probable class of each row, and the probability of each by its name."""
    names = _names(fitted, probabilities.shape[1])
    best = np.asarray(names)[probabilities.argmax(1).numpy()]
    return {"class": best, **{f"p_{name}": column.numpy() for name, column in zip(names, probabilities.T, strict=True)}}


def _names(fitted: FittedVAE, classes: int) -> Sequence[object]:
    """The classes: the levels of a table's labels, else numbers."""
    label = None if fitted.about.schema is None else fitted.about.schema.label
    return range(classes) if label is None else label.levels


def cluster_job(directory: Path, source: str | None, place: Place, most: int, machine: Machine, output: Output) -> None:
    """Write the cluster of each row, and the probability of each cluster."""
    fitted = opened(directory, machine.device)
    refuse_place(place, endings_for(fitted))
    rows = all_rows(directory, source, fitted)
    clusters = fitted.cluster(rows.given, most=most, seed=machine.seed)
    each = {f"p_{at}": column.numpy() for at, column in enumerate(clusters.probabilities.cpu().T)}
    remark(output, f"{clusters.count} clusters, of {', '.join(f'{size:,}' for size in clusters.sizes.tolist())} rows")
    written(place, added_to(rows, {"cluster": clusters.labels.cpu().numpy(), **each}, fitted), output)
