"""The evidence log p(x), estimated by importance sampling from the posterior."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core import NOTHING, VAE, Context, shared_latents
from vaekit.families.point import point_latents
from vaekit.train.means import evaluating

SCALARS_AT_ONCE = 2**24
"""How many values of x one chunk may hold, over samples and rows: 64 MiB in float32."""
IN_CACHE = 2**22
"""How many a CPU works on quickest."""
DRAWS_AT_ONCE = 2**14
"""Draws of the latents, over samples and rows, that are decoded together: small rows may have wide nets."""


@dataclass(frozen=True)
class Evidence:
    """An estimate of log p(x) for each row, in nats, from `samples` draws. Every tensor is `(batch,)`, float64.

    By importance sampling, or annealing, it is a lower bound in expectation; annealed in reverse, an upper one.
    `stderr` is its Monte Carlo standard error by the delta method, `ess` the effective number of the draws: where that
    is near 1, the estimate hangs on one draw, and is too low, or in reverse too high.
    """

    log_evidence: Tensor
    stderr: Tensor
    ess: Tensor
    samples: int

    @staticmethod
    def joined(parts: Iterable[Evidence]) -> Evidence:
        """The evidence of all rows, from that of some at a time."""
        parts = list(parts)
        log_evidence, stderr, ess = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("log_evidence", "stderr", "ess")
        )
        return Evidence(log_evidence, stderr, ess, parts[0].samples)

    @property
    def mean(self) -> float:
        """The mean over rows, in nats per example."""
        return float(self.log_evidence.mean())

    @property
    def mean_stderr(self) -> float:
        """The Monte Carlo standard error of the mean over rows."""
        return float(self.stderr.square().sum().sqrt()) / len(self.stderr)

    @property
    def rows_stderr(self) -> float:
        """The standard error of the mean that comes of having only these rows; NaN for a single row."""
        rows = len(self.log_evidence)
        return float(self.log_evidence.std()) / math.sqrt(rows) if rows > 1 else math.nan


@dataclass
class WeightSums:
    """Running sums of importance weights and of their squares, in logarithms."""

    log_sum: Tensor
    log_sum_squares: Tensor
    count: int = 0

    @staticmethod
    def nothing(batch: int) -> WeightSums:
        """The sums of no weights; they are kept on the CPU, for not every accelerator knows float64."""
        none = torch.full((batch,), -math.inf, dtype=torch.float64)
        return WeightSums(none, none.clone())

    def add(self, log_weight: Tensor) -> None:
        """Add weights `(sample, batch)`."""
        log_weight = log_weight.cpu().double()
        self.log_sum = torch.logaddexp(self.log_sum, log_weight.logsumexp(0))
        self.log_sum_squares = torch.logaddexp(self.log_sum_squares, (2 * log_weight).logsumexp(0))
        self.count += len(log_weight)

    def evidence(self) -> Evidence:
        r"""log-mean-exp; ESS :math:`(\sum w)^2 / \sum w^2`; the error of log of a mean, sd(w) / (mean(w) sqrt(K))."""
        ess = (2 * self.log_sum - self.log_sum_squares).exp()
        relative_variance = (1 / ess - 1 / self.count).clamp(min=0) * self.count / max(self.count - 1, 1)
        stderr = relative_variance.sqrt() if self.count > 1 else torch.full_like(ess, math.nan)
        log_evidence = self.log_sum - math.log(self.count)
        return Evidence(log_evidence, stderr, ess, self.count)


def log_evidence(
    model: VAE,
    x: Tensor,
    samples: int = 100,
    given: Context = NOTHING,
    scalars_at_once: int | None = None,
) -> Evidence:
    r"""Estimate log p(x) by importance sampling with the posterior as proposal.

    .. math:: \log \frac{1}{K} \sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k \mid x)}, \qquad z_k \sim q(z \mid x)

    Rows and samples are taken in chunks that hold at most `scalars_at_once` values of x; K is exact, whatever
    the chunks.

    Args:
        model: the model; it is not changed.
        x: `(batch, *event)`.
        samples: K, draws for each row.
        given: conditions, `(batch, *event)` each.
        scalars_at_once: the memory limit, in values; what the device is quickest with, if not given.

    Raises `UsageError` for less than one sample, no rows, and a latent whose posterior is a point.

    Source: Rezende, Mohamed and Wierstra, 2014; Burda, Grosse and Salakhutdinov, 2016.

    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (784,))
    >>> log_evidence(model, torch.rand(3, 784), samples=10).log_evidence.shape
    torch.Size([3])
    """
    if samples < 1:
        raise UsageError(f"{samples} samples: an estimate of the evidence needs at least 1")
    if not len(x):
        raise UsageError("no rows to estimate the evidence of")
    refuse_points(model, "log p(x)")
    draws = draws_at_once(x, scalars_at_once)
    with torch.no_grad(), evaluating(model):
        return Evidence.joined(
            _evidence(model, x[part], samples, at_rows(given, part), draws) for part in row_slices(x, draws)
        )


def draws_at_once(x: Tensor, scalars_at_once: int | None = None) -> int:
    """How many draws, over samples and rows, are worked on together for rows `(batch, *event)`.

    It depends on the shape of one row and the device alone: a row is drawn for alike, whatever rows are beside it.

    >>> draws_at_once(torch.zeros(3, 1, 28, 28)), draws_at_once(torch.zeros(3, 5))
    (5349, 16384)
    """
    scalars = scalars_at_once or (IN_CACHE if x.device.type == "cpu" else SCALARS_AT_ONCE)
    return max(1, min(DRAWS_AT_ONCE, scalars // max(1, x.shape[1:].numel())))


def refuse_points(model: VAE, what: str) -> None:
    """Refuse to estimate, of a model with a posterior that is a point, what takes that posterior's density.

    Where all rows share a latent, that is refused too: they have their densities together only.
    """
    refuse_shared(model, what)
    for name in point_latents(model):
        raise UsageError(
            f"{what} cannot be estimated: the posterior of {name!r} is a point, which has no density; what can be told "
            "of such a model is the log-likelihood of its reconstructions"
        )


def refuse_shared(model: VAE, what: str) -> None:
    """Refuse to estimate of one row what rows that share a latent only have together."""
    for name in shared_latents(model):
        raise UsageError(
            f"{what} of one row cannot be estimated: all rows share {name!r}; ask for the ELBO of all together"
        )


def row_slices(x: Tensor, at_once: int) -> Iterator[slice]:
    """The rows of x, so many at a time."""
    return (slice(start, start + at_once) for start in range(0, len(x), at_once))


def at_rows(values: Context, rows: slice) -> dict[str, Tensor]:
    """These rows of values `(batch, *event)` each."""
    return {name: value[rows] for name, value in values.items()}


def _evidence(model: VAE, x: Tensor, samples: int, given: Context, draws: int) -> Evidence:
    sums = WeightSums.nothing(len(x))
    at_once = max(1, draws // len(x))
    while sums.count < samples:
        sums.add(_log_weights(model, x, min(at_once, samples - sums.count), given))
    return sums.evidence()


def _log_weights(model: VAE, x: Tensor, samples: int, given: Context) -> Tensor:
    return model.trace(x, samples, given).log_weight.expand(samples, len(x))
