"""A score by distance: how far a row's codes are from those of known rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from vaekit.common.errors import DataError, UsageError
from vaekit.core import VAE, Batch, centre
from vaekit.uses.score import Encode
from vaekit.uses.scores.scorer import Scorer, rows_alone


@dataclass(frozen=True)
class Mahalanobis(Scorer):
    r"""The Mahalanobis distance of a row's codes from those of known rows, :math:`\sqrt{(m - \mu)^T S^{-1} (m - \mu)}`.

    m are the posterior means of all latents, side by side. The covariance S of the known codes is drawn to its
    diagonal's mean by `shrink`, so that it can be inverted wherever it is not 0.

    Args:
        shrink: from 0 to 1.
        mean: of the known codes, `(d,)`; None before it has `learnt`.
        precision: the inverse of S, `(d, d)`.

    Source: Denouden et al., 2018. Raises `UsageError` where it has not learnt, `DataError` for less than 2 known rows.

    >>> from vaekit.recipes import build
    >>> model, x = build("vae", (6,), latent=2).model, torch.rand(50, 6)
    >>> Mahalanobis().learnt(model, Batch(x))(model, Batch(x)).shape
    torch.Size([50])
    """

    nats: ClassVar[bool] = False
    shrink: float = 1e-3
    mean: Tensor | None = None
    precision: Tensor | None = None

    def learnt(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Mahalanobis:
        """The distance from the codes of these rows."""
        if len(batch) < 2:
            raise DataError(f"{len(batch)} known rows: a covariance of codes needs at least 2")
        codes = _codes(model, batch, seed, encode)
        spread = codes.T.cov().reshape(codes.shape[1], codes.shape[1])
        round_one = torch.eye(len(spread)).double() * spread.diagonal().mean()
        return replace(
            self, mean=codes.mean(0), precision=torch.linalg.pinv(torch.lerp(spread, round_one, self.shrink))
        )

    def __call__(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Tensor:
        if self.mean is None or self.precision is None:
            raise UsageError("a distance of codes needs known rows: call learnt(model, batch) with some first")
        off = _codes(model, batch, seed, encode) - self.mean
        return torch.einsum("nd,de,ne->n", off, self.precision, off).clamp(min=0).sqrt()


def _codes(model: VAE, batch: Batch, seed: int, encode: Encode) -> Tensor:
    """The posterior means of all latents of each row, `(n, d)`."""

    def means(one: Batch) -> Tensor:
        drawn = model.posterior(encode(one.x), given=one.given, take=centre)
        return torch.cat([draw.value[0, 0].flatten() for draw in drawn.values()])

    return rows_alone(model, batch, means, 1, seed)
