"""Jobs: a source scored part by part into a folder, which can be broken off and taken up again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vaekit.common.errors import DataError, RowError, UsageError
from vaekit.common.files import PARTIAL, file_written_atomically, write_atomically
from vaekit.scoring.engines import Engine, Tick, locally
from vaekit.scoring.formats import Format, Piece
from vaekit.scoring.loaded import model_fingerprint
from vaekit.scoring.parts import Part, parts_of
from vaekit.scoring.scorer import BatchScorer
from vaekit.scoring.sources import Source
from vaekit.scoring.tables import Table

MANIFEST: Final = "_manifest.json"
"""It begins with a line so that readers of a folder of Parquet leave it out."""
ROW: Final = "row"
"""The column of the rows' numbers, unless the source has one of that name."""

_BYTES: Final = 2**25
_ROWS: Final = 8192


def _ignore(rows: int) -> None:
    """Told of rows that are done, say nothing."""


@dataclass(frozen=True)
class Job:
    """A source, what is added to its rows, and the folder that the parts go to.

    Args:
        scorer: what is added.
        source: the rows.
        out: the folder: a file `part-00000` and so on for each part, and a manifest.
        format: of the parts.
        keep: the columns beside those added; None keeps all that the model does not read.
        part_rows: rows to a part.
        limit: how many of the first rows; None for all.

    Raises `UsageError` for a part of no rows.
    """

    scorer: BatchScorer
    source: Source
    out: Path
    format: Format
    keep: tuple[str, ...] | None = None
    part_rows: int = 2**16
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.part_rows < 1:
            raise UsageError(f"parts of {self.part_rows} rows: give each at least 1")

    @property
    def rows(self) -> int:
        """How many rows there are to do."""
        return self.source.rows if self.limit is None else min(self.limit, self.source.rows)

    @property
    def parts(self) -> list[Part]:
        """The parts of it."""
        return parts_of(self.rows, self.part_rows)

    def path(self, part: Part) -> Path:
        """The file of a part."""
        return self.out / f"{part.name}{self.format.suffix}"

    def __call__(self, part: Part, tick: Tick = _ignore) -> None:
        """Score a part and write its file, whole or not at all."""
        with file_written_atomically(self.path(part)) as partial:
            self.format.write(partial, self._pieces(part, tick))

    def _pieces(self, part: Part, tick: Tick) -> Iterator[Piece]:
        width = int(np.prod(self.scorer.fitted.about.event_shape))
        at, at_once = part.start, max(1, min(_ROWS, _BYTES // (4 * width)))
        for table in self.source.read(part.start, part.stop, at_once, self._columns()):
            yield self._piece(table, at)
            at += len(table)
            tick(len(table))

    def _piece(self, table: Table, first: int) -> Piece:
        try:
            added = self.scorer.added(table)
        except RowError as error:
            raise DataError(f"{self.source.name}: {error.moved(first)}") from error
        kept = {name: table.raw(name) for name in self._kept(table)}
        numbers = {} if ROW in table.names else {ROW: np.arange(first, first + len(table))}
        return Piece({**numbers, **kept}, added)

    def _head(self) -> Table:
        return next(iter(self.source.read(0, 1, 1)))

    def _kept(self, table: Table) -> tuple[str, ...]:
        if self.keep is not None:
            return self.keep
        read = self.scorer.selection.names(table, self.scorer.fitted.about.event_shape)
        return tuple(name for name in table.names if name not in read)

    def _columns(self) -> tuple[str, ...]:
        """The columns that must be read."""
        head = self._head()
        return tuple(dict.fromkeys((*self.scorer.reads(head), *self._kept(head))))

    def refuse_misfit(self) -> None:
        """Refuse, before anything is written, a source whose columns are not those that the model reads."""
        try:
            head = self._head()
            for name in self.keep or ():
                if name not in head.names:
                    raise UsageError(f"no column {name!r} to keep: there are {', '.join(head.names)}")
            self._piece(head, 0)
        except (DataError, UsageError) as error:
            if str(error).startswith(self.source.name):
                raise
            raise type(error)(f"{self.source.name}: {error}") from error

    def identity(self) -> dict[str, Any]:
        """What makes this job the one it is; a folder holds the parts of one job only."""
        scorer = self.scorer
        return {
            "model": model_fingerprint(Path(scorer.path)),
            "source": self.source.fingerprint(),
            "rows": self.rows,
            "part_rows": self.part_rows,
            "format": self.format.suffix,
            "adds": [repr(each) for each in scorer.adds],
            "seed": scorer.seed,
            "columns": None if scorer.columns is None else list(scorer.columns),
            "labels": scorer.labels,
            "keep": None if self.keep is None else list(self.keep),
        }


@dataclass(frozen=True)
class Summary:
    """What came of a job: rows and parts in all, those that were finished before, and the time that the rest took."""

    out: str
    source: str
    rows: int
    parts: int
    skipped_parts: int
    skipped_rows: int
    columns: tuple[str, ...]
    seconds: float

    @property
    def rows_per_second(self) -> float:
        """Rows that were done in this run, a second."""
        return (self.rows - self.skipped_rows) / max(self.seconds, 1e-9)

    def as_record(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "columns": list(self.columns), "rows_per_second": self.rows_per_second}


def run_job(job: Job, engine: Engine = locally, tick: Tick = _ignore, *, force: bool = False) -> Summary:
    """Do a job, or what is left of it: parts that are there are not done again.

    Args:
        job: what to do.
        engine: who works on the parts: see `ENGINES`.
        tick: told of rows that are done, those of parts that were there first.
        force: remove what another job left in the folder.

    Raises `UsageError` for a folder that holds something else, and what reading and scoring raise.
    """
    job.refuse_misfit()
    _prepare(job, force)
    parts = job.parts
    left = [part for part in parts if not job.path(part).exists()]
    skipped = job.rows - sum(map(len, left))
    tick(skipped)
    began = time.perf_counter()
    for _ in engine(job, left, tick) if left else ():
        pass
    spent = time.perf_counter() - began
    done = len(parts) - len(left)
    return Summary(str(job.out), job.source.name, job.rows, len(parts), done, skipped, job.scorer.names, spent)


def _prepare(job: Job, force: bool) -> None:
    """Make the folder a place for the parts of this job, and of no other."""
    manifest, identity = job.out / MANIFEST, job.identity()
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {job.out}: {error.strerror or error}; choose another place") from error
    if force:
        _clear(job.out)
    for path in job.out.glob(f".part-*{PARTIAL}*"):
        path.unlink(missing_ok=True)
    if any(job.out.glob("part-*")) and manifest.exists():
        _refuse_another(manifest, identity)
    else:
        _refuse_foreign(job.out)
        write_atomically(manifest, json.dumps(identity, indent=2) + "\n")


def _clear(out: Path) -> None:
    """Remove parts and their manifest, and nothing else."""
    for path in (out / MANIFEST, *out.glob("part-*")):
        path.unlink(missing_ok=True)


def _refuse_foreign(out: Path) -> None:
    found = next((path for path in out.iterdir() if path.name != MANIFEST), None)
    if found is not None:
        raise UsageError(f"{out} holds something else ({found.name}): choose a new or an empty folder")


def _refuse_another(manifest: Path, identity: dict[str, Any]) -> None:
    """Refuse to go on where the folder's parts are not those of this job."""
    try:
        found = dict(json.loads(manifest.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{manifest} cannot be read: choose another place, or pass --force to begin anew") from error
    differing = [name for name, value in identity.items() if found.get(name) != value]
    if differing:
        raise UsageError(
            f"{manifest.parent} holds parts of another run, which differs in {', '.join(differing)}: "
            "choose another place, or pass --force to begin anew"
        )
