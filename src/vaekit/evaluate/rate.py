"""The two halves of the negative ELBO: what the latents cost, and what they leave unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.chunks import ROWS
from vaekit.common.errors import UsageError
from vaekit.core import NOTHING, VAE, Context
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.evidence import at_rows, refuse_points, row_slices
from vaekit.objectives import analytic_kl
from vaekit.train.means import evaluating


@dataclass(frozen=True)
class RateDistortion:
    """The two halves of the negative ELBO, in nats per example; standard errors are over rows.

    Both are costs: less is better. `rate` is KL(q(z | x) || p(z)), `distortion` is -E log p(x | z).
    """

    rate: Estimate
    distortion: Estimate
    rate_of: Mapping[str, Estimate]
    """The rate of each latent."""

    @property
    def negative_elbo(self) -> float:
        """Rate plus distortion, an upper bound of -log p(x) in expectation."""
        return self.rate.value + self.distortion.value


def rate_distortion(model: VAE, x: Tensor, samples: int = 1, given: Context = NOTHING) -> RateDistortion:
    """Rate and distortion of rows x `(batch, *event)`, from `samples` draws each; the KL in closed form where there is.

    Raises `UsageError` for less than one sample, and a latent whose posterior is a point.

    Source: Alemi et al., 2018.

    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> found = rate_distortion(model, torch.rand(50, 6).round())
    >>> found.negative_elbo == found.rate.value + found.distortion.value
    True
    """
    if samples < 1:
        raise UsageError(f"{samples} samples: rate and distortion need at least 1")
    refuse_points(model, "the rate")
    rates, distortion = dict[str, list[Tensor]](), list[Tensor]()
    with torch.no_grad(), evaluating(model):
        for rows in row_slices(x, ROWS):
            trace = model.trace(x[rows], samples, at_rows(given, rows))
            distortion.append(over_samples(-trace.log_lik, x[rows]))
            for name, term in trace.latents.items():
                rates.setdefault(name, []).append(over_samples(analytic_kl(term), x[rows]))
    rate_of = {name: torch.cat(parts) for name, parts in rates.items()}
    total = sum(rate_of.values(), torch.zeros(len(x), dtype=torch.float64))
    estimates = {name: Estimate.mean_of(rate) for name, rate in rate_of.items()}
    return RateDistortion(Estimate.mean_of(total), Estimate.mean_of(torch.cat(distortion)), estimates)


def over_samples(terms: Tensor, rows: Tensor) -> Tensor:
    """The mean over samples of `(sample or 1, batch or 1)`, `(batch,)`, in float64 on the CPU."""
    return terms.cpu().double().mean(0).expand(len(rows))
