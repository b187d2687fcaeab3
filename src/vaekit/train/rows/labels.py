"""Labels of a data set, in the form in which a model reads them: one-hot vectors under a name of the model's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Size, Tensor

from vaekit.common.errors import DataError, RowError
from vaekit.core import VAE, Latent
from vaekit.objectives import Objective

LABEL: Final = "y"
"""The name of labels, where a model has more than one name for them to take."""

TOLD: Final = 0.2
"""The share of a training pass that rows with labels have at least, where some have none."""


@dataclass(frozen=True)
class Wanted:
    """How a model reads labels: how many classes there are, and whether they may be missing (as -1)."""

    classes: int
    may_be_missing: bool


def labels_wanted(model: VAE, objective: Objective) -> dict[str, Wanted]:
    """The names under which labels are known to a model while an objective is asked, and how.

    They are its declared condition (the one called y, where there are several), and a latent called y that the
    objective sums out where it is not known.
    """
    declared = model.declared
    conditions = declared if len(declared) == 1 else [name for name in declared if name == LABEL]
    summed_out = {part.sums_out for part in objective.modules() if isinstance(part, Objective)}
    wanted = {name: Wanted(declared[name].event_shape[0], may_be_missing=False) for name in conditions}
    latents = {name: latent for name, latent in model.latents() if name == LABEL and name in summed_out}
    return wanted | {name: Wanted(_classes(latent), may_be_missing=True) for name, latent in latents.items()}


def _classes(latent: Latent) -> int:
    event_shape: Size = latent.prior({}).event_shape
    return event_shape[0]


def refuse_unfit(y: Tensor | None, wanted: Mapping[str, Wanted]) -> None:
    """Refuse labels `(n,)` that are not what a model reads, naming the first row."""
    for name, how in wanted.items():
        if y is None and not how.may_be_missing:
            raise DataError(f"the model reads labels, as {name!r}, and the rows have none: give them labels")
        if y is not None:
            lowest = -1 if how.may_be_missing else 0
            wrong = ((y < lowest) | (y >= how.classes)).nonzero()
            if len(wrong):
                row = int(wrong[0])
                raise RowError(
                    row,
                    "y",
                    f"holds {int(y[row])}, but the labels of {name!r} go from {lowest} to {how.classes - 1}: "
                    f"mend it, or build the model with labels={int(y.max()) + 1}",
                )


def numbers_of_a_pass(y: Tensor, share: float = TOLD) -> Tensor:
    """The numbers of the rows of a training pass: all rows, those with a label so often that they are this share of it.

    With 100 labels for 60,000 rows most batches would have none. Rows with labels thereby weigh more in the objective;
    held-out rows and evaluations are not touched. Where nothing is labelled, or enough is, every row comes once.

    >>> numbers_of_a_pass(torch.tensor([-1, 3, -1, -1, -1, -1, -1, -1, -1])).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 1]
    """
    rows, told = torch.arange(len(y), device=y.device), (y >= 0).nonzero().squeeze(1)
    if not len(told) or len(told) >= share * len(y):
        return rows
    times = math.ceil(share / (1 - share) * (len(y) - len(told)) / len(told))
    return torch.cat([rows, told.repeat(times - 1)])


def as_vectors(y: Tensor, classes: int) -> Tensor:
    """One-hot vectors of labels, `(n,)` to `(n, classes)`; NaN for what is missing.

    >>> as_vectors(torch.tensor([1, -1]), classes=2)
    tensor([[0., 1.],
            [nan, nan]])
    """
    told = y.unsqueeze(1) == torch.arange(classes, device=y.device)
    return told.to(torch.get_default_dtype()).masked_fill((y < 0).unsqueeze(1), torch.nan)
