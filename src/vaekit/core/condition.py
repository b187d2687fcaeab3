"""Conditions: what is known beside x, and never drawn."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Size, nn

from vaekit.common.errors import UsageError
from vaekit.core.context import LEAD, Context


class Condition(nn.Module):
    """A value known beside the data, such as a label: a model that reads it is a model of p(x | condition).

    It is passed in `given`, `(batch, *event)`. A model needs not declare what it reads, but what it declares is checked
    for its shape, and labels of a data set can be turned into it: one-hot vectors of as many classes.

    Raises `UsageError` for an empty shape.

    >>> Condition((10,)).event_shape
    torch.Size([10])
    """

    def __init__(self, event_shape: Sequence[int]) -> None:
        super().__init__()
        if not event_shape or min(event_shape) < 1:
            raise UsageError(f"a condition of shape {tuple(event_shape)} tells nothing: give it a size of at least 1")
        self.event_shape = Size(event_shape)

    def refuse_misfit(self, name: str, context: Context) -> None:
        """Refuse a value of another shape; a value that is missing is refused by who reads it."""
        if name in context and context[name].shape[LEAD:] != self.event_shape:
            shapes = f"{tuple(context[name].shape[LEAD:])}, but the model reads {tuple(self.event_shape)}"
            raise UsageError(f"the condition {name!r} has the shape {shapes} for each example: give it that shape")

    def extra_repr(self) -> str:
        return f"event={tuple(self.event_shape)}"
