"""Summaries: one value for each hole out of all that draws say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.common.registry import Registry
from vaekit.uses.completion.explained import Explained

EQUAL_DRAWS = 128
"""Draws of equal weight that a mode is looked for in."""


class Summary(Protocol):
    """One row out of the draws for it."""

    @property
    def of_draws(self) -> bool:
        """Whether it looks at draws of what is missing, not only at what each draw of the latents expects of it."""
        ...

    def __call__(self, found: Explained) -> Tensor:
        """Rows `(batch, *event)`; what they hold where there is no hole is of no account."""
        ...


@dataclass(frozen=True)
class Mean:
    r"""The conditional mean of numbers and bits, the most probable level of levels.

    .. math:: E[x_{mis} \mid x_{obs}] \approx \sum_k w_k \, E[x_{mis} \mid z_k]

    Probabilities of levels are averaged likewise, then the greatest is taken. Of all completions that of the least
    squared error, and for levels of the fewest errors.
    """

    of_draws = False

    def __call__(self, found: Explained) -> Tensor:
        return found.cells.decided((found.weights.unsqueeze(-1) * found.told).sum(0))


@dataclass(frozen=True)
class Quantile:
    """A quantile of numbers given what was observed, by weighted draws; the most probable level of levels.

    Raises `UsageError` for one that is not between 0 and 1.
    """

    at: float
    of_draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.at < 1:
            raise UsageError(f"a quantile at {self.at}: choose between 0 and 1")

    def __call__(self, found: Explained) -> Tensor:
        return torch.where(found.cells.levelled(), Mean()(found), quantiles(found.x, found.weights, [self.at])[0])


@dataclass(frozen=True)
class Median:
    """The median of numbers given what was observed: of the least absolute error. Levels as by `Mean`."""

    of_draws = True

    def __call__(self, found: Explained) -> Tensor:
        return Quantile(0.5)(found)


@dataclass(frozen=True)
class Mode:
    """The most probable value of each hole by itself: the half-sample mode of numbers, the most probable level.

    Source: Bickel and Frühwirth, 2006.
    """

    of_draws = True

    def __call__(self, found: Explained) -> Tensor:
        equal = quantiles(found.x, found.weights, [(place + 0.5) / EQUAL_DRAWS for place in range(EQUAL_DRAWS)])
        return torch.where(found.cells.levelled(), Mean()(found), half_sample_mode(equal))


def quantiles(x: Tensor, weights: Tensor, at: Sequence[float]) -> Tensor:
    """The least values below which there is no more than each of these shares of the weight.

    `(sample, batch, *event)` with weights `(sample, batch)` that add up to 1: `(quantile, batch, *event)`.

    >>> quantiles(torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([[0.2], [0.4], [0.4]]), [0.5])
    tensor([[2.]])
    """
    values, order = x.sort(0)
    wide = weights.reshape(*weights.shape, *[1] * (x.dim() - weights.dim())).expand_as(x)
    up_to = wide.gather(0, order).cumsum(0)
    below = torch.stack([(up_to < share).sum(0) for share in at])
    return values.gather(0, below.clamp(max=len(x) - 1))


def half_sample_mode(x: Tensor) -> Tensor:
    """Where draws lie densest: the narrowest half, the narrowest half of that, and so on; `(n, ...)` to `(...)`.

    >>> half_sample_mode(torch.tensor([0.0, 4.9, 5.0, 5.1, 9.0, 30.0]))
    tensor(4.9500)
    """
    values = x.sort(0).values
    while len(values) > 2:
        half = (len(values) + 1) // 2
        widths = values[half - 1 :] - values[: len(values) - half + 1]
        start = widths.argmin(0, keepdim=True)
        inside = start + torch.arange(half, device=x.device).reshape(-1, *[1] * (x.dim() - 1))
        values = values.gather(0, inside)
    return values.mean(0)


SUMMARIES: Registry[type[Summary]] = Registry("summary", {"mean": Mean, "median": Median, "mode": Mode})
"""The summaries by name."""
