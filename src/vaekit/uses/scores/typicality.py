"""Typicality: a row is odd where its surprise is unlike that of known rows, be it too high or too low."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch
from vaekit.uses.score import Encode
from vaekit.uses.scores.likelihood import LogEvidence
from vaekit.uses.scores.scorer import Scorer


@dataclass(frozen=True)
class Typicality(Scorer):
    r"""The distance of a row's surprise from the model's entropy, :math:`|-\log p(x) - H|`, in nats.

    H is the mean of :math:`-\log p` over known rows. In many dimensions the data do not lie where the density is
    highest: what is likelier than all of them is odd as well.

    Args:
        entropy: H in nats; None before it has `learnt`.

    Source: Nalisnick et al., 2019. Raises `UsageError` where it has not learnt.

    >>> from vaekit.recipes import build
    >>> model, x = build("vae", (6,), latent=2).model, torch.rand(5, 6)
    >>> surprise = LogEvidence()(model, Batch(x))
    >>> bool((Typicality().learnt(model, Batch(x))(model, Batch(x)) == (surprise - surprise.mean()).abs()).all())
    True
    """

    entropy: float | None = None

    def learnt(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Typicality:
        """The distance from the mean surprise of these rows; rows that were not trained on tell it best."""
        return Typicality(float(LogEvidence()(model, batch, samples, seed, encode).mean()))

    def __call__(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Tensor:
        if self.entropy is None:
            raise UsageError("typicality needs known rows: call learnt(model, batch) with some first")
        return (LogEvidence()(model, batch, samples, seed, encode) - self.entropy).abs()
