"""Forms: what one row of data is, and so how a decoder explains it and how encoders see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from torch import Size, Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.common.registry import Registry
from vaekit.core import Family
from vaekit.families import LIKELIHOODS
from vaekit.families.columns import Columns, Marginal, TableFeatures
from vaekit.families.columns.groups.group import ScaleFor
from vaekit.families.missing import Observed
from vaekit.families.scale import Learned, Predicted
from vaekit.nets.holes import HolesSeen

COLUMNS: Final = "columns"
"""The name of a table's likelihood."""


def predicted(event: Size) -> Predicted:
    """A scale for each cell, by the decoder."""
    return Predicted()


COLUMN_SCALES: Final[Registry[ScaleFor]] = Registry("scale of columns", {"learned": Learned, "predicted": predicted})
"""Scales of a table's numbers: one learned for each column, or by the decoder for each cell."""


class Form(Protocol):
    """What one row of data is."""

    @property
    def event_shape(self) -> Size:
        """The shape of one row."""
        ...

    @property
    def seen_shape(self) -> Size:
        """The shape of a row as encoders' nets see it."""
        ...

    @property
    def smooth(self) -> bool:
        """Whether a row can be learned by gradients, as pseudo-inputs are."""
        ...

    def likelihood(self, name: str) -> Family:
        """The family that explains a row; `name` is the one that was chosen, where there is a choice."""
        ...

    def eye(self) -> nn.Module | None:
        """What turns a row into what the nets see; None where they see it as it is."""
        ...

    @property
    def architecture(self) -> Mapping[str, Any]:
        """The settings of the architecture that such rows have, where none are chosen and whatever the recipe's."""
        ...

    def to_config(self) -> dict[str, Any]:
        """The form as a config file has it; `form_of_config` reads it back."""
        ...


@dataclass(frozen=True)
class ArrayForm:
    """A row is an array: a vector, an image; with `holes`, some of its values may be missing, as NaN.

    >>> ArrayForm((1, 28, 28)).seen_shape, ArrayForm((1, 28, 28), holes=True).seen_shape
    (torch.Size([1, 28, 28]), torch.Size([2, 28, 28]))
    """

    shape: tuple[int, ...]
    holes: bool = False

    @property
    def event_shape(self) -> Size:
        """The shape of one row."""
        return Size(self.shape)

    @property
    def seen_shape(self) -> Size:
        """The shape of a row as encoders' nets see it: with holes, twice as long along its first axis."""
        first, *rest = self.shape
        return Size((2 * first, *rest)) if self.holes else self.event_shape

    @property
    def smooth(self) -> bool:
        """Arrays are; what is missing is not."""
        return not self.holes

    def likelihood(self, name: str) -> Family:
        """The family of this name; with holes it leaves out what is missing."""
        family = LIKELIHOODS[name](self.event_shape)
        return Observed(family) if self.holes else family

    def eye(self) -> nn.Module | None:
        """With holes, the values with 0 for what is missing, beside what is there."""
        return HolesSeen() if self.holes else None

    @property
    def architecture(self) -> Mapping[str, Any]:
        """The recipe's own."""
        return {}

    def to_config(self) -> dict[str, Any]:
        """Its shape, and whether it has holes."""
        return {"event_shape": list(self.shape), "holes": self.holes}


@dataclass(frozen=True)
class TableForm:
    """A row is one of a table: a cell for each column, explained on its own scale; missing cells are NaN.

    >>> import torch
    >>> from vaekit.families.columns import marginal_of
    >>> age = marginal_of("numeric", (), torch.tensor([20.0, 31.0, 47.0, 60.0]))
    >>> paid = marginal_of("binary", ("no", "yes"), torch.tensor([0.0, 1.0, 1.0, 0.0]))
    >>> TableForm((age, paid)).event_shape
    torch.Size([2])
    """

    marginals: tuple[Marginal, ...]
    scale: str = "learned"
    """Where the scales of columns of numbers come from, a name in `COLUMN_SCALES`."""

    @property
    def event_shape(self) -> Size:
        """One cell for each column."""
        return Size((len(self.marginals),))

    @property
    def seen_shape(self) -> Size:
        """One feature for each number, one for each level, and what is missing."""
        return Size((TableFeatures(self.marginals).features,))

    @property
    def smooth(self) -> bool:
        """Levels are not."""
        return False

    def likelihood(self, name: str) -> Family:
        """The product over columns.

        Raises `UsageError` for any other.
        """
        if name != COLUMNS:
            raise UsageError(
                f"likelihood={name!r} is for arrays: a table has one for each column, so choose them in its schema"
            )
        return Columns(self.marginals, COLUMN_SCALES[self.scale])

    def eye(self) -> nn.Module | None:
        """Numbers at unit scale, levels as vectors, what is missing as such."""
        return TableFeatures(self.marginals)

    @property
    def architecture(self) -> Mapping[str, Any]:
        """The likelihood is that of the columns."""
        return {"likelihood": COLUMNS}

    def to_config(self) -> dict[str, Any]:
        """Its columns."""
        return {
            "event_shape": list(self.event_shape),
            "columns": [marginal.to_config() for marginal in self.marginals],
            "scale": self.scale,
        }


def form_of(data: Form | Sequence[int]) -> Form:
    """The form itself, or that of arrays of a shape.

    Raises `UsageError` for rows without an axis.
    """
    form = ArrayForm(tuple(data)) if isinstance(data, Sequence) else data
    if not form.event_shape:
        raise UsageError("rows of shape () have no coordinates: give them at least one axis")
    return form


def form_of_config(config: Mapping[str, Any]) -> Form:
    """The form that `to_config` wrote.

    >>> form_of_config({"event_shape": [3], "holes": True})
    ArrayForm(shape=(3,), holes=True)
    """
    if "columns" in config:
        marginals = tuple(Marginal.from_config(column) for column in config["columns"])
        return TableForm(marginals, config.get("scale", "learned"))
    return ArrayForm(tuple(config["event_shape"]), config.get("holes", False))


def seen(form: Form, net: nn.Module, given: Sequence[str]) -> nn.Module:
    """A net that reads values of these names, x among them as encoders see it."""
    eye = form.eye() if "x" in given else None
    return net if eye is None else Seeing(eye, net, list(given).index("x"))


class Seeing(nn.Module):
    """A net that sees one of its inputs through an eye: `net(..., eye(x), ...)`."""

    def __init__(self, eye: nn.Module, net: nn.Module, place: int) -> None:
        super().__init__()
        self.eye, self.net, self.place = eye, net, place

    def forward(self, *inputs: Tensor) -> Tensor:
        """The net's output."""
        before, x, after = inputs[: self.place], inputs[self.place], inputs[self.place + 1 :]
        seen: Tensor = self.net(*before, self.eye(x), *after)
        return seen
