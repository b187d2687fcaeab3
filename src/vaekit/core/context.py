"""The context: every value a conditional may read, each by name, and the law of its shape.

A value in the context is `(sample, batch, *event)`. What does not vary along an axis has length 1 there and
broadcasts: data are `(1, batch, *event)`, so an encoder runs once however many samples are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from torch import Size, Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.common.shapes import broadcast

Context = Mapping[str, Tensor]
LEAD: Final = 2
"""Number of leading axes: sample and batch."""
NOTHING: Final[Context] = MappingProxyType({})


def read(context: Context, names: Sequence[str]) -> list[Tensor]:
    """The named values, or the error that says what to pass."""
    missing = [name for name in names if name not in context]
    if missing:
        nearest = get_close_matches(missing[0], context, n=1)
        guess = f", or did you mean {nearest[0]!r}?" if nearest else ""
        raise UsageError(f"the model reads {missing[0]!r}: pass given={{{missing[0]!r}: ...}}{guess}")
    return [context[name] for name in names]


def apply_folded(net: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    """Run a net that knows one batch axis on values that have two.

    Inputs `(sample or 1, batch or 1, *event)` are broadcast to a common lead, folded to `(sample * batch, *event)`
    for the net, and its output is unfolded again.
    """
    lead = broadcast(*(value.shape[:LEAD] for value in inputs))
    folded = [value.expand(*lead, *value.shape[LEAD:]).flatten(0, 1) for value in inputs]
    output: Tensor = net(*folded)
    unfolded: Tensor = output.unflatten(0, lead)
    return unfolded


def as_given(values: Context) -> dict[str, Tensor]:
    """Values known from outside, `(batch, *event)`, with the sample axis the law asks for."""
    return {name: value.unsqueeze(0) for name, value in values.items()}


def event_of(value: Tensor) -> Size:
    """The shape of one example of a value in the context."""
    return value.shape[LEAD:]
