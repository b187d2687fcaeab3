"""The page: sections in the order in which they are read, in one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from vaekit.common.files import write_atomically
from vaekit.data import Dataset
from vaekit.evaluate import Evaluation
from vaekit.model import FittedVAE
from vaekit.report.opening import opening
from vaekit.report.section import Section
from vaekit.report.sections.codes import codes
from vaekit.report.sections.curves import curves
from vaekit.report.sections.interpolations import interpolations
from vaekit.report.sections.reconstructions import reconstructions
from vaekit.report.sections.samples import samples
from vaekit.report.sections.settings import settings_table
from vaekit.report.sections.traversals import traversals
from vaekit.report.sections.worst import worst
from vaekit.report.subject import Subject
from vaekit.report.words import sentence

SECTIONS: tuple[Callable[[Subject], Section], ...] = (
    curves,
    reconstructions,
    samples,
    interpolations,
    traversals,
    codes,
    worst,
    settings_table,
)
"""What the page shows below its opening, in order."""


def sections_of_table() -> tuple[Callable[[Subject], Section], ...]:
    """The same of a table, whose rows are told in words, and its columns one by one."""
    from vaekit.report.sections.columns import columns  # loads pandas, which only a table needs
    from vaekit.report.sections.table_rows import made_up_rows, reconstructed_rows, traversed_rows, worst_explained_rows

    told: Mapping[Callable[[Subject], Section], Callable[[Subject], Section]] = {
        reconstructions: reconstructed_rows,
        samples: made_up_rows,
        traversals: traversed_rows,
        worst: worst_explained_rows,
    }
    _, *others = SECTIONS
    return (curves, columns, *(told.get(each, each) for each in others))


def report(
    fitted: FittedVAE,
    test: Dataset,
    evaluation: Evaluation,
    *,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    kind: str = "test",
) -> str:
    """One HTML page that shows what was trained and how good it is; it needs no network and loads nothing.

    Args:
        fitted: the model.
        test: rows it was not trained on, as they are stored.
        evaluation: `fitted.evaluate` of the same rows in the same order.
        settings: the run's configuration, nested mappings allowed, for the table of settings.
        seed: of every choice and draw; the same seed gives the same page. Where rows are binarised afresh each time
            they are seen, the seed of the evaluation shows them as it saw them.
        kind: what the rows are to the model, as the page calls them: test, held-out or training.

    Raises:
        UsageError: the evaluation is of another number of rows.
        DataError: rows of a shape that the model does not explain.

    >>> import torch, vaekit
    >>> from vaekit.data import dataset
    >>> rows = dataset(torch.rand(40, 3))
    >>> fitted = vaekit.fit(*vaekit.build("vae", (3,), latent=2), rows, max_epochs=1, verbose=False)
    >>> report(fitted, rows, fitted.evaluate(rows, samples=5)).splitlines()[0]
    '<!doctype html>'
    """
    subject = Subject.of(fitted, test, evaluation, settings or {}, seed, kind)
    template = _environment().get_template("page.html.j2")
    shown = SECTIONS if subject.schema is None else sections_of_table()
    return template.render(opening=opening(subject), sections=[section(subject) for section in shown])


def write_report(path: Path, html: str) -> None:
    """Write a page to a file, whole or not at all; `DataError` where that cannot be done.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(Path(folder, "report.html"), "<!doctype html>")
    ...     Path(folder, "report.html").read_text()
    '<!doctype html>'
    """
    write_atomically(path, html)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vaekit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sentence"] = sentence
    return environment
