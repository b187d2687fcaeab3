"""Scores and codes: of rows that fit in memory into a file, of any number of rows into a folder of parts."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from vaekit.cli.jobs import encode_job, endings_for, written
from vaekit.cli.launch import Terminated
from vaekit.cli.options import Bulk, Machine, Output, Place
from vaekit.cli.rows import Used, kept_back, known_again, opened, rows_for, rows_learnt_from, source_name
from vaekit.cli.speak import answer, remark
from vaekit.cli.writers import Arrays, Framed, is_known, refuse_place
from vaekit.common.errors import UsageError
from vaekit.model import FittedVAE
from vaekit.scoring import (
    ENGINES,
    Added,
    BatchScorer,
    Codes,
    FrameRows,
    Held,
    Job,
    Judged,
    Score,
    ShareOfEach,
    Source,
    Summary,
    format_for,
    run_job,
    source_at,
)

REFERENCE: Final = 1000
"""Rows that p-values are told by, at most."""
KNOWN: Final = 5000
"""Rows that a score learns from, at most."""


def score_job(
    directory: Path,
    source: str | None,
    place: Place,
    score: Score,
    shares: bool,
    count: int,
    bulk: Bulk,
    machine: Machine,
    output: Output,
) -> None:
    """Score rows: into a file, or part by part into a folder."""
    fitted = opened(directory, machine.device)
    if not is_file(place):
        adds = additions(directory, source, fitted, score, shares, machine.seed)
        parts_job(directory, source, place, adds, count, bulk, machine, output)
        return
    refuse_bulk(place, bulk)
    refuse_place(place, endings_for(fitted))
    rows = rows_for(directory, source, fitted).first(count)
    adds = additions(directory, source, fitted, score, shares, machine.seed)
    found = {name: column for each in adds for name, column in each.columns(fitted, rows.rows, machine.seed).items()}
    written(place, added_to(rows, found, fitted), output)


def additions(
    directory: Path, source: str | None, fitted: FittedVAE, score: Score, shares: bool, seed: int
) -> tuple[Added, ...]:
    """What is added to rows: their score, with what it means where the run kept rows back; and its shares if asked."""
    if score.learns:
        known = rows_learnt_from(directory, None, fitted).at_most(KNOWN)
        score = score.shown(fitted, known.rows, seed)
    held_out = reference_rows(directory, source, fitted)
    first = score if held_out is None else Judged.beside(score, fitted, held_out.rows, seed)
    return (first, ShareOfEach(score.samples)) if shares else (first,)


def reference_rows(directory: Path, source: str | None, fitted: FittedVAE) -> Used | None:
    """Rows that a score means something beside: kept back by the run, still at hand, and not those that are scored."""
    if source is None or not known_again(directory):
        return None
    kept = kept_back(directory, fitted)
    return None if kept is None else kept.at_most(REFERENCE)


def added_to(rows: Used, found: Mapping[str, np.ndarray], fitted: FittedVAE) -> Arrays | Framed:
    """What was found of rows, to be written: of a table beside its columns."""
    if fitted.about.schema is None or rows.frame is None:
        return {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in found.items()}
    return Framed(rows.frame, fitted.about.schema, found)


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
        parts_job(directory, source, place, (Codes(),), count, bulk, machine, output)


def is_file(place: Place) -> bool:
    """Whether a place names a file of a kind that is known; else it is a folder."""
    return is_known(place.out) and not place.out.is_dir()


def refuse_bulk(place: Place, bulk: Bulk) -> None:
    """Refuse settings of parts where there are none."""
    if bulk != Bulk():
        raise UsageError(f"{place.out} is one file: settings of columns, parts and engines are for a folder of parts")


def parts_job(
    directory: Path,
    source: str | None,
    place: Place,
    adds: tuple[Added, ...],
    count: int,
    bulk: Bulk,
    machine: Machine,
    output: Output,
) -> None:
    """Do a job part by part; where it was broken off, do what is left of it."""
    engine = ENGINES[bulk.engine]
    fitted = opened(directory, machine.device)
    job = Job(
        BatchScorer(directory.absolute(), adds, _listed(bulk.columns), bulk.labels, machine.seed, machine.device),
        _source(directory, source, fitted),
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


def _source(directory: Path, source: str | None, fitted: FittedVAE) -> Source:
    if source is not None:
        return source_at(source, mixed=fitted.about.schema is not None)
    rows = rows_for(directory, None, fitted)
    return Held(rows.rows) if rows.frame is None else FrameRows(Path(source_name(directory, None)), rows.frame)


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
