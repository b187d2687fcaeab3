"""Predictive checks: whether data that the model makes look like the data, by a statistic of the user's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.chunks import ROWS
from vaekit.common.errors import UsageError
from vaekit.core import NOTHING, VAE, Context
from vaekit.evaluate.evidence import at_rows, row_slices
from vaekit.evaluate.inference import posterior_draws
from vaekit.train.means import evaluating

Statistic = Callable[[Tensor], Tensor]
"""From data `(n, *event)` to a number or several, of any shape."""
Replicate = Callable[[VAE, Tensor, Context], Tensor]
"""From a model and data `(n, *event)` to other data of that shape, as the model has them."""


def posterior_replicate(model: VAE, x: Tensor, given: Context = NOTHING) -> Tensor:
    """For each row another of the same latents: z from q(z | x), then x from p(x | z)."""
    return model.sample(len(x), {**given, **posterior_draws(model, x, given)}).draw()


def prior_replicate(model: VAE, x: Tensor, given: Context = NOTHING) -> Tensor:
    """As many new rows from the model."""
    return model.sample(len(x), given).draw()


@dataclass(frozen=True)
class PredictiveCheck:
    """A statistic of the data, and the same of data sets that the model made. See `predictive_check`."""

    observed: Tensor
    """Of the data, `(*statistic)`."""
    replicated: Tensor
    """Of each data set that the model made, `(replicates, *statistic)`."""

    @property
    def p_value(self) -> Tensor:
        """The share of data sets, the real one counted among them, with a statistic as large as the real one or larger.

        Near 0 the real statistic is larger than the model expects, near 1 smaller.
        """
        as_large = (self.replicated >= self.observed).double().sum(0)
        return (as_large + 1) / (len(self.replicated) + 1)

    @property
    def two_sided(self) -> Tensor:
        """The p-value of a real statistic that far out on either side, at most 1."""
        as_small = (self.replicated <= self.observed).double().sum(0)
        other = (as_small + 1) / (len(self.replicated) + 1)
        return (2 * torch.minimum(self.p_value, other)).clamp(max=1.0)


def predictive_check(
    model: VAE,
    x: Tensor,
    statistic: Statistic,
    replicates: int = 100,
    replicate: Replicate = posterior_replicate,
    given: Context = NOTHING,
) -> PredictiveCheck:
    """Compare a statistic of the data with that of data sets of the same size that the model makes.

    With `posterior_replicate` each row is made again from its own latents, which finds what the likelihood gets wrong;
    with `prior_replicate` rows are new, which finds what the prior gets wrong too. A check against the latents of the
    very rows that it judges is mild: its p-values keep away from 0 and 1 more than uniform ones would.

    Args:
        model: the model; it is not changed.
        x: `(batch, *event)`.
        statistic: of data `(batch, *event)`; a tensor of any shape, each entry of which is checked.
        replicates: data sets to make.
        replicate: how one is made.
        given: conditions, `(batch, *event)` each.

    Source: Rubin, 1984; Gelman, Meng and Stern, 1996.

    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> blank = torch.zeros(50, 6)
    >>> float(predictive_check(model, blank, torch.mean, replicates=99).p_value)  # all replicates are larger
    1.0
    """
    if replicates < 1:
        raise UsageError(f"{replicates} replicates: a predictive check needs at least 1")
    with torch.no_grad(), evaluating(model):
        made = [_by_rows(replicate, model, x, given) for _ in range(replicates)]
        return PredictiveCheck(statistic(x).cpu(), torch.stack([statistic(other).cpu() for other in made]))


def _by_rows(replicate: Replicate, model: VAE, x: Tensor, given: Context) -> Tensor:
    return torch.cat([replicate(model, x[rows], at_rows(given, rows)) for rows in row_slices(x, ROWS)])
