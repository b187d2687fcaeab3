"""The run's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vaekit.recipes import Blueprint
from vaekit.report.figures import Row, Table, Tables
from vaekit.report.section import Section
from vaekit.report.subject import Subject
from vaekit.report.words import count


def settings_table(subject: Subject) -> Section:
    """The section on how to do it again."""
    about = subject.fitted.about
    tables = (
        Table("Model", tuple(_model(subject))),
        Table("Data and numbers", tuple(_data(subject))),
        Table("Training", tuple(rows(about.training))),
        Table("Configuration", tuple(rows(subject.settings))),
    )
    return Section(
        "settings",
        "Settings",
        "All that is known of how the model was made, so that it can be made again.",
        "",
        Tables(tuple(table for table in tables if table.rows)),
    )


def _model(subject: Subject) -> Iterator[Row]:
    blueprint = subject.fitted.model.blueprint
    if isinstance(blueprint, Blueprint):
        yield Row("recipe", blueprint.recipe)
        yield from rows(blueprint.options)
    for name, activity in subject.evaluation.activity.items():
        yield Row(f"latent {name}", count(len(activity.variance), "coordinate"))


def _data(subject: Subject) -> Iterator[Row]:
    about, test, evidence = subject.fitted.about, subject.test, subject.evaluation.evidence
    thing = subject.picture.thing
    yield Row("trained on", about.data)
    yield Row("evaluated on", f"{test.name or f'{subject.kind} rows'}, {count(len(test), thing)}")
    yield Row(f"one {thing}", subject.picture.size(about.event_shape))
    yield Row("values", about.encoding.words)
    yield Row("numbers are", str(about.density))
    if evidence is not None:
        yield Row("importance samples", f"{evidence.samples:,}")


def rows(settings: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """One row for each setting, those within others by dotted names.

    >>> [(row.name, row.value) for row in rows({"fit": {"rate": 0.0010000000475}, "seed": None})]
    [('fit.rate', '0.001'), ('seed', '–')]
    """
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from rows(value, f"{prefix}{name}.")
        else:
            yield Row(f"{prefix}{name}", _shown(value))


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value))
    return "–" if value is None else str(value)
