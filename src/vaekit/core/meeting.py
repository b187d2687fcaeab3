"""Parts that look at the training rows before they learn: for their initial values, or to keep them."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from torch import Tensor, nn

ROW: Final = "row"
"""The name, among what is known beside x, of the numbers of the training rows that a batch holds."""


class Rows(Protocol):
    """The training rows, as the model sees them."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, index: Tensor) -> Tensor:
        """The rows of these numbers, `(n, *event)`."""
        ...


@runtime_checkable
class MeetsRows(Protocol):
    """A part of a model that is shown the training rows, once, before the first step of a run."""

    def meet(self, rows: Rows) -> None:
        """Look at the rows; draws come from torch's current generator."""


def introduce(model: nn.Module, rows: Rows) -> None:
    """Show the training rows to every part of a model that asks for them."""
    for module in model.modules():
        if isinstance(module, MeetsRows):
            module.meet(rows)
