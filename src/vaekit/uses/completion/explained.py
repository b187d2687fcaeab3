"""Explained: rows with holes by draws of the latents, each with its weight by what was observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaekit.core import VAE, Batch, Context
from vaekit.core.conditional import Explains
from vaekit.core.context import LEAD
from vaekit.evaluate.evidence import draws_at_once
from vaekit.families.missing import Cells, cells_of, filled, in_holes

Encode = Callable[[Tensor], Tensor]
"""From stored rows to rows as the model sees them; NaN stays NaN."""

MADE_UP = 64
"""Rows made up from the prior, the mean of which an encoder is shown in holes that it knows nothing of."""


@dataclass(frozen=True)
class Holes:
    """Rows with holes, and the rows that encoders are shown in their place, `(batch, *event)` each."""

    x: Tensor
    seen: Tensor
    given: Context

    @staticmethod
    def of(model: VAE, batch: Batch) -> Holes:
        """As they are, where the model knows of holes; else with what it makes up on average in them."""
        seen = batch.x if knows_holes(model, batch.x) else in_holes(batch.x, _made_up(model, batch))
        return Holes(batch.x, seen, batch.given)


def knows_holes(model: VAE, x: Tensor) -> bool:
    """Whether the likelihood leaves out what is NaN: then its encoders were trained to see it."""
    likelihood = model.likelihood
    return isinstance(likelihood, Explains) and bool(likelihood.support.check(torch.full(x.shape[1:], torch.nan)).all())


def _made_up(model: VAE, batch: Batch) -> Tensor:
    given = {name: value.repeat_interleave(MADE_UP, 0) for name, value in batch.given.items()}
    mean: Tensor = model.sample(MADE_UP * len(batch), given).mean
    by_row: Tensor = mean.unflatten(0, (len(batch), MADE_UP))
    return by_row.mean(1)


@dataclass(frozen=True)
class Explained:
    """Draws of the latents, and what they say of the holes; weights are those of what was observed alone."""

    log_weight: Tensor
    """log p(x_obs, z) - log q(z | x), with log p(s | x) where missing is not at random, `(sample, batch)`."""
    x: Tensor
    """Rows with a draw in each hole, if asked for, `(sample, batch, *event)`."""
    told: Tensor
    """The features of the cells, to be averaged, `(sample, batch, features)`."""
    latents: Context
    """`(sample, batch, *event)` each, those that are given left out."""
    cells: Cells
    """p(x | z) of complete rows."""

    @staticmethod
    def by(model: VAE, rows: Holes, samples: int, draws: bool) -> Explained:
        """So many draws of the latents from their posteriors."""
        trace = model.trace(rows.seen, samples, rows.given)
        said = filled(trace.likelihood, rows.x.unsqueeze(0), draws)
        priors = sum((term.log_prior for term in trace.latents.values()), torch.zeros((), device=rows.x.device))
        lead = (samples, len(rows.x))
        latents = {name: _wide(term.value, lead) for name, term in trace.latents.items() if name not in rows.given}
        log_weight = (said.log_prob + priors - trace.log_posterior).expand(lead)
        return Explained(log_weight, _wide(said.x, lead), _wide(said.told, lead), latents, cells_of(trace.likelihood))

    @staticmethod
    def joined(parts: Sequence[Explained]) -> Explained:
        """The draws of all parts together."""
        names = parts[0].latents
        return Explained(
            torch.cat([part.log_weight for part in parts]),
            torch.cat([part.x for part in parts]),
            torch.cat([part.told for part in parts]),
            {name: torch.cat([part.latents[name] for part in parts]) for name in names},
            parts[0].cells,
        )

    def normalised(self) -> Explained:
        """The same with weights that add up to 1 in each row: among those of other models, none speaks louder."""
        return replace(self, log_weight=self.log_weight.log_softmax(0))

    @property
    def weights(self) -> Tensor:
        """Self-normalised, `(sample, batch)`."""
        return self.log_weight.softmax(0)

    @property
    def ess(self) -> Tensor:
        r"""The effective number of the draws, :math:`1 / \sum_k w_k^2`, `(batch,)`."""
        return 1 / self.weights.square().sum(0)


def explained(model: VAE, rows: Holes, samples: int, draws: bool = True) -> Explained:
    """So many draws for each row, in steps that bound memory; without `draws`, of the latents alone."""
    at_once = max(1, draws_at_once(rows.x) // len(rows.x))
    steps = [min(at_once, samples - start) for start in range(0, samples, at_once)]
    return Explained.joined([Explained.by(model, rows, step, draws) for step in steps])


def _wide(value: Tensor, lead: tuple[int, int]) -> Tensor:
    return value.expand(*lead, *value.shape[LEAD:])
