"""The scorer of batches: small, picklable, and at work wherever it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.common.errors import UsageError
from vaekit.model import FittedVAE
from vaekit.scoring.added import Added, Score
from vaekit.scoring.loaded import Build, loaded
from vaekit.scoring.selection import BySchema, Reading, Selection
from vaekit.scoring.tables import Columns, Table, as_table


@dataclass(frozen=True)
class BatchScorer:
    """Scores or encodes batches: `BatchScorer("runs/first")(batch)` is the batch with columns added.

    It holds a path and settings, no model: it pickles in a few hundred bytes, and loads the model when it first meets
    a batch, once in a process. A batch is a dict of arrays, a pandas DataFrame, a pyarrow Table or RecordBatch, and
    comes back as one, with its rows in their order and all of its columns; a bare array or tensor comes back as the
    new columns alone, `(n, columns)`. What is added to a row does not depend on the batch that it comes in, up to
    rounding.

    Args:
        path: a run or a model directory.
        adds: what is added: `Score()`, `Codes()`, or several.
        columns: the columns that are x, in order; see `Selection` for what they are where none are named.
        labels: the column of labels, for a model that reads them.
        seed: of the draws.
        device: "auto", "cpu", "cuda", ...
        build: makes the architecture of a model that was composed by hand; a function that can be pickled.

    Raises `DataError` and `UsageError` that name the column or the row, and what `FittedVAE.load` raises.

    >>> import tempfile, vaekit
    >>> from vaekit.scoring import Codes
    >>> rows = np.random.default_rng(0).random((64, 6), dtype=np.float32)
    >>> fitted = vaekit.fit(*vaekit.build("vae", (6,), latent=2), rows, max_epochs=1, verbose=False)
    >>> folder = tempfile.TemporaryDirectory()
    >>> scorer = BatchScorer(fitted.save(folder.name + "/model"), adds=(Score(samples=10), Codes()))
    >>> found = scorer({"id": np.arange(64), "x": rows})
    >>> list(found)
    ['id', 'x', 'score', 'elbo', 'z0', 'z1']
    >>> np.allclose(scorer({"id": np.arange(3), "x": rows[:3]})["score"], found["score"][:3])
    True
    >>> folder.cleanup()
    """

    path: str | Path
    adds: Sequence[Added] = (Score(),)
    columns: Sequence[str] | None = None
    labels: str | None = None
    seed: int = 0
    device: str = "auto"
    build: Build | None = None

    def __call__(self, batch: Any) -> Any:
        """The batch with columns added, of the type that it came in."""
        table = as_table(batch)
        return table.extended(self.added(table))

    @property
    def fitted(self) -> FittedVAE:
        """The model."""
        return loaded(Path(self.path), self.device, self.build)

    @property
    def selection(self) -> Reading:
        """Which columns are read: of a model of a table its own, by their names."""
        schema = self.fitted.about.schema
        if schema is not None:
            if self.columns is not None or self.labels is not None:
                raise UsageError("the model is of a table, whose columns are found by their names: name none")
            return BySchema(schema)
        return Selection(None if self.columns is None else tuple(self.columns), self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are added."""
        return tuple(name for each in self.adds for name in each.names(self.fitted))

    def reads(self, table: Table) -> tuple[str, ...]:
        """The columns of a table that the model reads."""
        return self.selection.reads(table, self.fitted.about.event_shape, self.fitted.reads_labels)

    def added(self, table: Table) -> Columns:
        """The columns that are added to a table, `(n,)` each."""
        fitted = self.fitted
        for name in self.names:
            if name in table.names:
                raise UsageError(f"there is a column {name!r} already: rename it, or leave it out")
        if not len(table):
            return {name: np.empty(0, each.dtype) for each in self.adds for name in each.names(fitted)}
        rows = self.selection.rows(table, fitted.about.event_shape, fitted.reads_labels)
        return {name: column for each in self.adds for name, column in each.columns(fitted, rows, self.seed).items()}
