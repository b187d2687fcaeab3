"""Scores from the likelihood: the evidence, its lower bound, and the two parts of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaekit.core import VAE, Batch, Trace
from vaekit.evaluate.evidence import refuse_points
from vaekit.objectives import analytic_kl
from vaekit.uses.score import Encode, scores, traces
from vaekit.uses.scores.scorer import Mixture, Pool, Scorer, rows_alone


@dataclass(frozen=True)
class LogEvidence(Scorer):
    r"""The importance-weighted :math:`-\log p(x)`, in nats: how surprising a row is.

    .. math:: -\log \frac{1}{K} \sum_k \frac{p(x, z_k)}{q(z_k \mid x)}, \qquad z_k \sim q(z \mid x)

    Several models are pooled as densities: the score is that of their mixture. Source: Burda, Grosse and
    Salakhutdinov, 2016. Raises `UsageError` for a latent whose posterior is a point.

    >>> from vaekit.recipes import build
    >>> LogEvidence()(build("vae", (6,), latent=2).model, Batch(torch.rand(5, 6))).shape
    torch.Size([5])
    """

    pool: ClassVar[Pool] = Mixture()

    def __call__(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Tensor:
        return -scores(model, batch, samples, seed, encode).log_evidence


@dataclass(frozen=True)
class NegativeElbo(Scorer):
    r"""The negative ELBO, in nats: :math:`E_q [\log q(z \mid x) - \log p(x, z)]`, from draws.

    It is no less than :math:`-\log p(x)`, by how badly the encoder explains the row: what the encoder does not know is
    odder. Raises `UsageError` for a latent whose posterior is a point.

    >>> from vaekit.recipes import build
    >>> model, x = build("vae", (6,), latent=2).model, torch.rand(5, 6)
    >>> bool((NegativeElbo()(model, Batch(x)) >= LogEvidence()(model, Batch(x))).all())
    True
    """

    def __call__(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Tensor:
        return -scores(model, batch, samples, seed, encode).elbo


@dataclass(frozen=True)
class Reconstruction(Scorer):
    r"""How badly a row is reconstructed, :math:`-E_q \log p(x \mid z)`, in nats.

    It leaves out how far the code had to go for it, but is known of every model, also where posteriors are points.

    >>> from vaekit.recipes import build
    >>> Reconstruction()(build("ae", (6,), latent=2).model, Batch(torch.rand(5, 6)), samples=1).shape
    torch.Size([5])
    """

    def __call__(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Tensor:
        def distortion(one: Batch) -> Tensor:
            return -mean_over_draws(model, Batch(encode(one.x), one.given), samples, lambda trace: trace.log_lik)

        return rows_alone(model, batch, distortion, samples, seed)


@dataclass(frozen=True)
class Latent(Scorer):
    r"""How far a row's codes are from what the prior expects, :math:`KL(q(z \mid x) \,\|\, p(z))`, in nats.

    Of all latents together, in closed form where there is one. Raises `UsageError` for a latent whose posterior is a
    point: `Mahalanobis` is a distance of codes that needs no density.

    >>> from vaekit.recipes import build
    >>> bool((Latent()(build("vae", (6,), latent=2).model, Batch(torch.rand(5, 6))) > 0).all())
    True
    """

    def __call__(
        self, model: VAE, batch: Batch, samples: int = 100, seed: int = 0, encode: Encode = torch.Tensor.float
    ) -> Tensor:
        refuse_points(model, "the KL of its latents")

        def rate(one: Batch) -> Tensor:
            return mean_over_draws(model, Batch(encode(one.x), one.given), samples, total_kl)

        return rows_alone(model, batch, rate, samples, seed)


def tight_elbo(trace: Trace) -> Tensor:
    """log p(x | z) less the KL of all latents, in closed form where there is one, `(sample or 1, batch)`."""
    return trace.log_lik - total_kl(trace)


def total_kl(trace: Trace) -> Tensor:
    """The KL of all latents, `(sample or 1, batch)`."""
    return sum((analytic_kl(term) for term in trace.latents.values()), torch.zeros(()))


def mean_over_draws(model: VAE, one: Batch, samples: int, of: Callable[[Trace], Tensor]) -> Tensor:
    """The mean over samples of a term of a single row's traces, `(sample or 1, 1)` each, as a scalar."""
    return torch.cat([of(trace).expand(step, 1)[:, 0] for step, trace in traces(model, one, samples)]).mean()
