"""Score: how likely each row is under a model, whichever rows it comes with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Trace
from vaekit.evaluate.evidence import Evidence, WeightSums, draws_at_once, refuse_points
from vaekit.train.means import evaluating
from vaekit.uses.alone import each_alone

Encode = Callable[[Tensor], Tensor]
"""From stored rows to rows as the model sees them; it may draw."""


@dataclass(frozen=True)
class Scores:
    """How likely each row is: its evidence, and its ELBO `(n,)`, float64, from the same draws, in nats."""

    evidence: Evidence
    elbo: Tensor

    @property
    def log_evidence(self) -> Tensor:
        """The importance-sampled log p(x) of each row, `(n,)`, float64: higher is more normal."""
        return self.evidence.log_evidence


def scores(model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float) -> Scores:
    r"""The importance-sampled log p(x) and the ELBO of each row, as if every row were alone.

    .. math:: \log \frac{1}{K} \sum_k w_k \quad\text{and}\quad \frac{1}{K} \sum_k \log w_k, \qquad
        w_k = \frac{p(x, z_k)}{q(z_k \mid x)}, \quad z_k \sim q(z \mid x)

    The noise behind :math:`z_1 \ldots z_K` is drawn from `seed` afresh for each row. The score of a row is thus a
    function of the row, and what `log_evidence` says of it when asked for it alone. The Monte Carlo errors of rows
    are correlated: to compare rows that is an advantage, for a mean over rows use `evaluate`.

    Args:
        model: the model; it is not changed.
        batch: stored rows `(n, *event)`, and what is known beside them.
        samples: K, draws for each row.
        seed: of the draws.
        encode: from stored rows to rows as the model sees them.

    Raises `UsageError` for less than one sample, and a latent whose posterior is a point.

    Source: Burda, Grosse and Salakhutdinov, 2016.

    >>> from vaekit.recipes import build
    >>> model, x = build("vae", (6,), latent=2).model, torch.rand(5, 6)
    >>> together, apart = scores(model, Batch(x)), scores(model, Batch(x[3:]))
    >>> torch.allclose(together.log_evidence[3:], apart.log_evidence)
    True
    """
    if samples < 1:
        raise UsageError(f"{samples} samples: a score needs at least 1")
    refuse_points(model, "log p(x)")

    def log_weights(one: Batch) -> Tensor:
        return _log_weights(model, Batch(encode(one.x), one.given), samples)

    with evaluating(model):
        return _joined([_scores(each_alone(log_weights, part, seed)) for part in in_groups(batch, samples)])


def in_groups(batch: Batch, samples: int) -> tuple[Batch, ...]:
    """The rows that are worked on together, group by group."""
    return batch.split(max(1, draws_at_once(batch.x) // samples))


def traces(model: VAE, one: Batch, samples: int) -> Iterator[tuple[int, Trace]]:
    """A single row's traces, each with how many samples it has, in the steps in which `log_evidence` takes them."""
    at_once = draws_at_once(one.x)
    steps = [min(at_once, samples - start) for start in range(0, samples, at_once)]
    return ((step, model.trace(one.x, step, one.given)) for step in steps)


def _log_weights(model: VAE, one: Batch, samples: int) -> Tensor:
    """log p(x, z) - log q(z | x) of a single row, `(sample,)`."""
    return torch.cat([trace.log_weight.expand(step, 1)[:, 0] for step, trace in traces(model, one, samples)])


def _scores(log_weights: Tensor) -> Scores:
    """The scores of weights `(row, sample)`."""
    log_weights = log_weights.T.cpu().double()
    sums = WeightSums.nothing(log_weights.shape[1])
    sums.add(log_weights)
    return Scores(sums.evidence(), log_weights.mean(0))


def _joined(parts: list[Scores]) -> Scores:
    return Scores(Evidence.joined(part.evidence for part in parts), torch.cat([part.elbo for part in parts]))
