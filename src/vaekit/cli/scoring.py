"""Scores and codes: of rows that fit in memory into a file, of any number of rows into a folder of parts."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from vaekit.cli.jobs import encode_job, first, rows_for, written
from vaekit.cli.launch import Terminated
from vaekit.cli.options import Bulk, Machine, Output, Place
from vaekit.cli.rundir import open_model
from vaekit.cli.speak import answer, remark
from vaekit.cli.writers import WRITERS, refuse_place
from vaekit.common.errors import UsageError
from vaekit.scoring import (
    ENGINES,
    MEASURES,
    Added,
    BatchScorer,
    Codes,
    Held,
    Job,
    Score,
    Source,
    Summary,
    format_for,
    run_job,
    source_at,
)


def score_job(
    directory: Path,
    source: str | None,
    place: Place,
    score: Score,
    count: int,
    bulk: Bulk,
    machine: Machine,
    output: Output,
) -> None:
    """Score rows: into a file, or part by part into a folder."""
    if not is_file(place):
        parts_job(directory, source, place, score, count, bulk, machine, output)
        return
    refuse_bulk(place, bulk)
    refuse_place(place)
    fitted = open_model(directory, machine.device)
    found = fitted.scores(first(rows_for(directory, source), count), score.samples, seed=machine.seed)
    written(place, {"score": -MEASURES[score.by](found), "elbo": found.elbo}, output)


def codes_job(
    directory: Path,
    source: str | None,
    place: Place,
    count: int,
    draws: int,
    bulk: Bulk,
    machine: Machine,
    output: Output,
) -> None:
    """Encode rows: into a file, or part by part into a folder."""
    if is_file(place):
        refuse_bulk(place, bulk)
        encode_job(directory, source, place, count, draws, machine, output)
    elif draws:
        raise UsageError(f"{draws} draws: parts hold the posterior means; name a file, such as {place.out}.npz")
    else:
        parts_job(directory, source, place, Codes(), count, bulk, machine, output)


def is_file(place: Place) -> bool:
    """Whether a place names a file of a kind that is known; else it is a folder."""
    return place.out.suffix in WRITERS and not place.out.is_dir()


def refuse_bulk(place: Place, bulk: Bulk) -> None:
    """Refuse settings of parts where there are none."""
    if bulk != Bulk():
        raise UsageError(f"{place.out} is one file: settings of columns, parts and engines are for a folder of parts")


def parts_job(
    directory: Path,
    source: str | None,
    place: Place,
    adds: Added,
    count: int,
    bulk: Bulk,
    machine: Machine,
    output: Output,
) -> None:
    """Do a job part by part; where it was broken off, do what is left of it."""
    engine = ENGINES[bulk.engine]
    open_model(directory, machine.device)
    job = Job(
        BatchScorer(directory.absolute(), (adds,), _listed(bulk.columns), bulk.labels, machine.seed, machine.device),
        _source(directory, source),
        place.out.absolute(),
        format_for(bulk.format),
        _listed(bulk.keep),
        bulk.part_rows,
        _limit(count),
    )
    remark(output, f"{job.source.name}: {job.rows:,} rows in {len(job.parts):,} parts")
    try:
        with Ticker(job.rows, quiet=output.quiet) as tick:
            summary = run_job(job, engine, tick, force=place.force)
    except (KeyboardInterrupt, Terminated):
        remark(output, f"the parts that are finished are kept in {place.out}: the same command goes on from there")
        raise
    answer(output, summary.as_record(), words_of(summary))


def words_of(summary: Summary) -> str:
    """What came of it, in words."""
    before = f", {summary.skipped_parts:,} of them finished before" if summary.skipped_parts else ""
    return (
        f"{summary.out}: {summary.rows:,} rows in {summary.parts:,} parts{before}; "
        f"{summary.seconds:.1f} s, {summary.rows_per_second:,.0f} rows/s"
    )


def _source(directory: Path, source: str | None) -> Source:
    return Held(rows_for(directory, None)) if source is None else source_at(source)


def _limit(count: int) -> int | None:
    if count < 0:
        raise UsageError(f"{count} rows: ask for 1 or more, or 0 for all")
    return count or None


def _listed(names: str | None) -> tuple[str, ...] | None:
    """Names between commas; an empty text is no names at all."""
    return None if names is None else tuple(name.strip() for name in names.split(",") if name.strip())


class Ticker:
    """Rows done, on standard error: a bar on a terminal, else a line now and then; nothing when told to be quiet."""

    EVERY = 5.0
    """Seconds between two lines."""

    def __init__(self, rows: int, *, quiet: bool) -> None:
        console = Console(file=sys.stderr, quiet=quiet)
        self._rows, self._done, self._said = rows, 0, time.monotonic()
        self._lines = not console.is_terminal and not quiet
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal or quiet)
        self._task = self._bar.add_task("rows", total=rows)

    def __enter__(self) -> Ticker:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, rows: int) -> None:
        self._done += rows
        self._bar.update(self._task, completed=self._done)
        if self._lines and time.monotonic() - self._said > self.EVERY:
            self._said = time.monotonic()
            print(f"{self._done:,} of {self._rows:,} rows", file=sys.stderr)
