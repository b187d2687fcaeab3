"""What a report is about, and what several of its sections need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaekit.common.chunks import ROWS
from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.data import Dataset
from vaekit.evaluate import Activity, Evaluation
from vaekit.model import FittedVAE
from vaekit.report.cells import Cells
from vaekit.report.pictures import Fit, Picture, picture_for
from vaekit.report.pictures.png import Pixels
from vaekit.train import Resident

if TYPE_CHECKING:
    from vaekit.data.tables import Schema


@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted model, the test rows as it sees them, and how well it explains them.

    Raises `UsageError` where the evaluation is of another number of rows.
    """

    fitted: FittedVAE
    test: Dataset
    """The test rows, encoded: values as the model explains them."""
    evaluation: Evaluation
    settings: Mapping[str, object]
    seed: int
    schema: Schema | None = None
    """The columns of the table that the rows are from, if they are from one."""
    kind: str = "test"
    """What the rows are to the model: test, held-out or training."""

    def __post_init__(self) -> None:
        if self.evaluation.rows != len(self.test):
            raise UsageError(
                f"the evaluation is of {self.evaluation.rows} rows, but {len(self.test)} test rows were given: "
                "report on the rows that were evaluated"
            )

    @staticmethod
    def of(
        fitted: FittedVAE,
        test: Dataset,
        evaluation: Evaluation,
        settings: Mapping[str, object],
        seed: int,
        kind: str = "test",
    ) -> Subject:
        """What to report on: the test rows are encoded once, drawn as an evaluation with this seed draws them."""
        with seeded(seed, fitted.device):
            rows = Resident(fitted.rows(test), fitted.about.encoding, ROWS, fitted.device)
            x = torch.cat([batch.x.cpu() for batch in rows.in_order()])
        schema, plain = fitted.about.schema, fitted.in_numbers()
        return Subject(plain, Dataset(x, test.y, test.name), evaluation, settings, seed, schema, kind)

    @property
    def cells(self) -> Cells:
        """How the rows of a table are told."""
        assert self.schema is not None
        return Cells(self.schema)

    @cached_property
    def picture(self) -> Picture:
        """How one example is drawn."""
        return picture_for(self.test.x)

    @cached_property
    def fit(self) -> Fit:
        """How many examples go beside each other, and how large they are shown."""
        return Fit.of(self.picture.tile(self.test.x[0]))

    @cached_property
    def order(self) -> Tensor:
        """The test rows' numbers in a random order, the same for the same seed."""
        return torch.randperm(len(self.test), generator=torch.Generator().manual_seed(self.seed))

    @property
    def example(self) -> str:
        """What one of the rows is called: a test image."""
        return f"{self.kind} {self.picture.thing}"

    @property
    def latent(self) -> str:
        """The first latent, the one that is mapped and traversed."""
        return self.fitted.latents[0]

    @property
    def activity(self) -> Activity:
        """The use of that latent's coordinates."""
        return self.evaluation.activity[self.latent]

    def tiles(self, examples: Tensor) -> list[Pixels]:
        """Examples `(n, *event)`, drawn."""
        return [self.picture.tile(example) for example in examples.cpu()]

    def some_by_label(self, n: int) -> Tensor:
        """The numbers of up to `n` random test rows, sorted by label where there are labels."""
        rows = self.order[:n]
        return rows if self.test.y is None else rows[self.test.y[rows].argsort(stable=True)]
