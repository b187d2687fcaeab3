"""The contract of a score: how odd each row is to a model, as if every row were alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch
from vaekit.train.means import evaluating
from vaekit.uses.alone import Work, each_alone
from vaekit.uses.score import Encode, in_groups


class Pool(Protocol):
    """From scores of several models `(model, n)` to one of them all `(n,)`."""

    def __call__(self, scores: Tensor) -> Tensor:
        """The scores of all models together."""
        ...


class Average:
    """The mean over models.

    >>> Average()(torch.tensor([[1.0], [3.0]])).tolist()
    [2.0]
    """

    def __call__(self, scores: Tensor) -> Tensor:
        return scores.mean(0)


class Mixture:
    r"""Of scores that are :math:`-\log p_m(x)`, that of the mixture: :math:`-\log \frac{1}{M} \sum_m p_m(x)`.

    >>> twice = Mixture()(-torch.tensor([[0.1], [0.3]]).log())
    >>> round(float((-twice).exp()), 6)
    0.2
    """

    def __call__(self, scores: Tensor) -> Tensor:
        return math.log(len(scores)) - (-scores).logsumexp(0)


class Scorer(ABC):
    """How odd each row is: higher is odder, in nats where the score says so.

    The score of a row is a function of the row, the model and the seed, whichever rows stand beside it.
    """

    nats: ClassVar[bool] = True
    """Whether it is in nats."""
    pool: ClassVar[Pool] = Average()
    """What makes one score of those of several models."""

    @abstractmethod
    def __call__(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Tensor:
        """The scores of stored rows, `(n,)`, float64.

        Args:
            model: the model; it is not changed.
            batch: stored rows `(n, *event)`, and what is known beside them.
            samples: draws of the latents for each row.
            seed: of the draws, which are the same for every row.
            encode: from stored rows to rows as the model sees them.
        """


@runtime_checkable
class LearnsRows(Protocol):
    """A score that is to be shown known rows of the model's data first."""

    def learnt(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Self:
        """The score that has learnt from these rows."""
        ...


def ready(
    scorer: Scorer,
    model: VAE,
    known: Batch,
    samples: int = 100,
    seed: int = 0,
    encode: Encode = torch.Tensor.float,
) -> Scorer:
    """The score, having learnt from known rows if it is one that does.

    >>> from vaekit.recipes import build
    >>> from vaekit.uses.scores import Typicality
    >>> ready(Typicality(), build("vae", (6,), latent=2).model, Batch(torch.rand(20, 6))).entropy is None
    False
    """
    if not isinstance(scorer, LearnsRows):
        return scorer
    return scorer.learnt(model, known, samples, seed, encode)


def rows_alone(model: VAE, batch: Batch, work: Work, samples: int, seed: int) -> Tensor:
    """What `work` makes of each row by itself, `(n, *what it makes)`, float64 on the CPU, a group at a time.

    Raises `UsageError` for less than one sample.
    """
    refuse_no_samples(samples)
    with evaluating(model):
        made = [each_alone(work, part, seed) for part in in_groups(batch, samples)]
    return torch.cat(made).cpu().double()


def refuse_no_samples(samples: int) -> None:
    """Refuse less than one sample by a `UsageError`."""
    if samples < 1:
        raise UsageError(f"{samples} samples: a score needs at least 1")
