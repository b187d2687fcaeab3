"""Shares: which columns, or pixels, make a row odd, and how much of it its codes do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Trace
from vaekit.evaluate.evidence import refuse_points
from vaekit.uses.score import Encode, traces
from vaekit.uses.scores.scorer import rows_alone

Weigh = Callable[[Tensor], Tensor]
"""From log-weights of draws `(n, sample)` to weights that sum to 1 over the draws."""


@runtime_checkable
class OfColumns(Protocol):
    """A distribution that is a product over columns and knows each one's log-probability, 0 where it is missing."""

    def column_log_prob(self, x: Tensor) -> Tensor:
        """log p of each column, `(sample, batch, column)`."""
        ...


@dataclass(frozen=True)
class Shares:
    """What a score is made of, in nats, float64."""

    columns: Tensor
    """Of each column or pixel, `(n, *coordinates)`; 0 where a cell is missing."""
    latent: Tensor
    """Of the latents, `(n,)`."""

    @property
    def total(self) -> Tensor:
        """The score that they sum to, `(n,)`."""
        return self.columns.flatten(1).sum(1) + self.latent


def by_posterior(log_weights: Tensor) -> Tensor:
    """Draws weighted into draws of the true posterior, p(z | x); the shares are those of -log p(x).

    >>> by_posterior(torch.tensor([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    return log_weights.clamp(min=torch.finfo(log_weights.dtype).min).softmax(1)


def evenly(log_weights: Tensor) -> Tensor:
    """Draws of q(z | x) as they are; the shares are those of the negative ELBO.

    >>> evenly(torch.tensor([[0.0, 9.0]])).tolist()
    [[0.5, 0.5]]
    """
    return torch.full_like(log_weights, 1 / log_weights.shape[1])


def shares(
    model: VAE,
    batch: Batch,
    samples: int = 100,
    seed: int = 0,
    encode: Encode = torch.Tensor.float,
    weigh: Weigh = by_posterior,
) -> Shares:
    r"""Each column's share of a row's surprise, and that of its latents.

    .. math:: -\log p(x) = \sum_d E_{p(z \mid x)}[-\log p(x_d \mid z)] + KL(p(z \mid x) \,\|\, p(z))

    With draws of q weighted into draws of :math:`p(z \mid x)` both terms are estimated so that they sum exactly to the
    score by `LogEvidence` from the same seed and samples. Weighed `evenly` they are the expectations
    :math:`E_q[-\log p(x_d \mid z)]` and the KL of q, and sum to `NegativeElbo`.

    A density of a continuous column has a unit: a column whose values lie close together has a share that may be
    negative. To compare columns, subtract the mean share over known rows.

    Args:
        model: the model, whose likelihood is a product over columns or pixels.
        batch: stored rows `(n, *event)`, and what is known beside them.
        samples: draws for each row.
        seed: of the draws.
        encode: from stored rows to rows as the model sees them.
        weigh: how the draws are weighted, `by_posterior` or `evenly`.

    Raises `UsageError` for a likelihood that is no product, and a posterior that is a point.

    >>> from vaekit.recipes import build
    >>> from vaekit.uses.scores import LogEvidence
    >>> model, x = build("vae", (6,), latent=2).model, torch.rand(5, 6)
    >>> found = shares(model, Batch(x))
    >>> found.columns.shape, torch.allclose(found.total, LogEvidence()(model, Batch(x)))
    (torch.Size([5, 6]), True)
    """
    refuse_points(model, "a share of log p(x)")
    coordinates = Size()

    def parts(one: Batch) -> Tensor:
        nonlocal coordinates
        rows = [_parts(trace, step) for step, trace in traces(model, Batch(encode(one.x), one.given), samples)]
        coordinates = rows[0][0].shape[1:]
        return torch.cat([torch.cat([columns.flatten(1), latent], 1) for columns, latent in rows])

    found = rows_alone(model, batch, parts, samples, seed)
    return _weighed(found[..., :-1], found[..., -1], weigh, coordinates)


def _parts(trace: Trace, samples: int) -> tuple[Tensor, Tensor]:
    """Of a single row's draws, the surprise of each coordinate `(sample, *coordinates)`, and log q - log p of z."""
    columns = -column_log_prob(trace.likelihood, trace.context["x"])
    latent = sum((term.kl for term in trace.latents.values()), torch.zeros_like(trace.log_lik))
    return columns.expand(samples, *columns.shape[1:])[:, 0], latent.expand(samples, 1)


def column_log_prob(likelihood: Distribution, x: Tensor) -> Tensor:
    """log p of each coordinate, `(sample, batch, *coordinates)`; 0 where x is NaN.

    Raises `UsageError` for a distribution that is no product over coordinates.

    >>> from torch.distributions import Normal
    >>> column_log_prob(Independent(Normal(torch.zeros(1, 1, 2), 0.4), 1), torch.tensor([0.0, torch.nan]))
    tensor([[[-0.0026,  0.0000]]])
    """
    if isinstance(likelihood, OfColumns):
        return likelihood.column_log_prob(x)
    if not isinstance(likelihood, Independent):
        raise UsageError(f"shares need a likelihood that is a product over columns, not a {type(likelihood).__name__}")
    each = likelihood.base_dist
    empty = x.isnan()
    log_prob = each.log_prob(x.masked_fill(empty, 0.5))
    missing = empty.flatten(-len(each.event_shape)).any(-1) if each.event_shape else empty
    present: Tensor = log_prob.masked_fill(missing, 0.0)
    return present


def _weighed(columns: Tensor, latent: Tensor, weigh: Weigh, coordinates: Size) -> Shares:
    """From draws `(n, sample, column)` and `(n, sample)`; what the weights cost themselves is the latents' share.

    As log p(x) = log w_k - log(K u_k) for every draw k of normalised weight u_k, so it is for their mean.
    """
    log_weights = -columns.sum(-1) - latent
    weights = weigh(log_weights)
    tilt = torch.xlogy(weights, weights * weights.shape[1]).sum(1)
    each = torch.where(weights.unsqueeze(-1) > 0, weights.unsqueeze(-1) * columns, 0.0).sum(1)
    return Shares(each.unflatten(1, coordinates), (weights * latent).sum(1) + tilt)
