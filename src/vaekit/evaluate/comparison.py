"""Two sets of vectors held against each other, and the aggregate posterior against the prior."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.core import NOTHING, VAE, Context
from vaekit.evaluate.classifier import accuracy, fit_classifier
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.inference import posterior_draws, prior_draws
from vaekit.evaluate.kernels import blocked_mmd, gaussians, median_square
from vaekit.evaluate.significance import KolmogorovSmirnov, exact, kolmogorov_smirnov, normal_upper_tail
from vaekit.nets import MLP
from vaekit.train.means import evaluating

BATCH = 128


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each coordinate, `(coordinate,)` each."""

    mean: Tensor
    stddev: Tensor

    @staticmethod
    def of(values: Tensor) -> Moments:
        """The moments of `(n, coordinate)`."""
        return Moments(exact(values).mean(0).cpu(), exact(values).std(0).cpu())


@dataclass(frozen=True)
class Discrimination:
    """How well a classifier tells two kinds of draws apart on draws it has not seen: 0.5 is not at all."""

    accuracy: Estimate

    @property
    def p_value(self) -> float:
        """The probability of such an accuracy or a better one, were both kinds alike."""
        z = (self.accuracy.value - 0.5) / self.accuracy.stderr
        return float(normal_upper_tail(torch.tensor(z, dtype=torch.float64)))


@dataclass(frozen=True)
class TwoSample:
    """Two sets of vectors, `a` and `b`, held against each other."""

    a: Moments
    b: Moments
    ks: KolmogorovSmirnov
    """Of each coordinate."""
    mmd: Estimate
    """Squared, by Gaussian kernels, of the vectors as a whole: 0 where both are alike, and more where they are not."""
    coordinate_mmd: Tensor
    """The same of each coordinate by itself, `(coordinate,)`."""
    discrimination: Discrimination
    """Of the vectors as a whole, by a small net."""


def two_sample(a: Tensor, b: Tensor) -> TwoSample:
    """Compare two sets of vectors `(n, d)` and `(m, d)`: coordinate by coordinate, and as a whole.

    Source: Gretton et al., 2012 (MMD); Lopez-Paz and Oquab, 2017 (classifier).

    Raises `UsageError` where their widths differ, or there are fewer than 20 of either.

    >>> found = two_sample(torch.randn(100, 2), torch.randn(100, 2) + 3)
    >>> bool((found.ks.p_value < 0.001).all()), found.discrimination.accuracy.value > 0.9
    (True, True)
    """
    if a.shape[1:] != b.shape[1:] or a.dim() != 2:
        raise UsageError(f"vectors of shapes {tuple(a.shape)} and {tuple(b.shape)}: give (n, d) and (m, d)")
    if min(len(a), len(b)) < 20:
        raise UsageError(f"{len(a)} and {len(b)} rows to compare: give at least 20 of each")
    of_coordinates = [_mmd(a[:, [column]], b[:, [column]]).value for column in range(a.shape[1])]
    return TwoSample(
        Moments.of(a),
        Moments.of(b),
        kolmogorov_smirnov(a, b),
        _mmd(a, b),
        torch.tensor(of_coordinates, dtype=torch.float64),
        discrimination(a, b),
    )


def _mmd(a: Tensor, b: Tensor) -> Estimate:
    return blocked_mmd(a, b, gaussians(median_square(exact(a), exact(b))))


def discrimination(a: Tensor, b: Tensor, hidden: int = 64, updates: int = 1000) -> Discrimination:
    """Train a net on half of the rows of `a` and `b`, `(n, d)` each, to tell them apart, and try it on the others.

    Source: Lopez-Paz and Oquab, 2017.
    """
    n = min(len(a), len(b))
    x = torch.cat([values[torch.randperm(len(values), device=values.device)[:n]] for values in (a, b)]).float()
    y = torch.arange(2 * n, device=x.device) // n
    order = torch.randperm(2 * n, device=x.device)
    train, test = order[:n], order[n:]
    x = (x - x[train].mean(0)) / x[train].std(0).clamp(min=1e-6)
    net = MLP([x.shape[1:]], (2,), [hidden], nn.SiLU).to(x.device)
    fit_classifier(
        net, x[train], y[train], epochs=max(1, updates * BATCH // max(n, BATCH)), batch_size=BATCH, rate=5e-3
    )
    return Discrimination(Estimate(accuracy(net, x[test], y[test]), math.sqrt(0.25 / n)))


@dataclass(frozen=True)
class AggregateFit:
    """The aggregate posterior, `a`, against the prior, `b`."""

    joint: TwoSample
    """Of all latents together."""
    latents: Mapping[str, TwoSample]
    """Of each latent, over all that it depends on."""


def against_prior(model: VAE, x: Tensor, given: Context = NOTHING) -> AggregateFit:
    """Hold draws of the aggregate posterior, one from q(z | x) of each row, against as many of the prior.

    Where the two differ, `sample` decodes latents that the decoder was not trained on.

    Args:
        model: the model; it is not changed.
        x: `(batch, *event)`.
        given: conditions, `(batch, *event)` each.

    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> fit = against_prior(model, torch.rand(100, 6).round())
    >>> fit.joint.b.mean.shape
    torch.Size([2])
    """
    with torch.no_grad(), evaluating(model):
        inferred, drawn = _vectors(posterior_draws(model, x, given)), _vectors(prior_draws(model, len(x), given))
    found = {name: two_sample(inferred[name], drawn[name]) for name in inferred}
    joint = next(iter(found.values())) if len(found) == 1 else two_sample(_beside(inferred), _beside(drawn))
    return AggregateFit(joint, found)


def _beside(vectors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat(list(vectors.values()), dim=1)


def _vectors(latents: Context) -> dict[str, Tensor]:
    return {name: value.flatten(1) for name, value in latents.items()}
