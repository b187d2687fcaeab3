"""Ensembles: one score of several models, as of the same training from several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch
from vaekit.uses.score import Encode
from vaekit.uses.scores.likelihood import LogEvidence
from vaekit.uses.scores.scorer import Pool, Scorer, ready


@dataclass(frozen=True)
class Member:
    """A model, and the score that it is asked for; one that `LearnsRows` has learnt from codes or scores of its own."""

    model: VAE
    scorer: Scorer


@dataclass(frozen=True)
class Ensemble:
    r"""One score of several models of the same data.

    Densities are pooled as densities: the score by `LogEvidence` is that of the mixture of all members,
    :math:`-\log \frac{1}{M} \sum_m p_m(x)`; other scores are averaged.

    Where the data were contaminated, one member that has learnt the odd rows is enough to make them likely in the
    mixture: pool by `Average()`, the geometric mean of the densities, and a row is odd unless all members explain it.

    Args:
        members: models, each with the score that it is asked for.
        pool: what makes one score of theirs, `Mixture()` or `Average()`; by default what suits the score.

    Raises `UsageError` for no members, and for members that are asked for different scores.

    >>> from vaekit.recipes import build
    >>> models = [build("vae", (6,), latent=2, seed=seed).model for seed in range(3)]
    >>> Ensemble.of(models)(Batch(torch.rand(5, 6))).shape
    torch.Size([5])
    """

    members: tuple[Member, ...]
    pool: Pool | None = None

    def __post_init__(self) -> None:
        kinds = sorted({type(member.scorer).__name__ for member in self.members})
        if len(kinds) != 1:
            raise UsageError(
                f"an ensemble needs members, all asked for one score, not for {', '.join(kinds) or 'none'}"
            )

    @staticmethod
    def of(models: Sequence[VAE], scorer: Scorer | None = None, pool: Pool | None = None) -> Ensemble:
        """These models, asked for one score, by default `LogEvidence`."""
        return Ensemble(tuple(Member(model, scorer or LogEvidence()) for model in models), pool)

    def learnt(self, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float) -> Ensemble:
        """The ensemble, each of whose scores has learnt from known rows where it is one that does."""
        learnt = (
            replace(member, scorer=ready(member.scorer, member.model, batch, samples, seed, encode))
            for member in self.members
        )
        return replace(self, members=tuple(learnt))

    def each(self, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float) -> Tensor:
        """The score by each member, `(member, n)`, float64."""
        return torch.stack([member.scorer(member.model, batch, samples, seed, encode) for member in self.members])

    def __call__(self, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float) -> Tensor:
        """The score by all together, `(n,)`, float64."""
        pool = self.pool or self.members[0].scorer.pool
        return pool(self.each(batch, samples, seed, encode))
