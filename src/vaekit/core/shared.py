"""Latents that all rows share: weights with a posterior of their own, the topics of a corpus, a common scale."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints, kl_divergence, register_kl
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.conditional import Conditional
from vaekit.core.context import Context
from vaekit.core.latent import Latent, draw
from vaekit.core.meeting import Rows
from vaekit.core.notation import Formula, formula_of
from vaekit.core.vae import VAE

NONE = Size()


class Global(Latent):
    r"""A latent that all rows share, drawn once for a whole batch: its log-density counts 1/N in each of N rows.

    .. math:: \log p(x_1, \ldots, x_N) \ge \sum_{n=1}^{N} \Bigl( E_q \log p(x_n \mid w) -
        \frac{1}{N} KL(q(w) \,\|\, p(w)) \Bigr)

    What stands in the sum is the ELBO of a row, so that a batch of any size has an unbiased gradient of the whole. It
    is a bound of the rows together, not of one: an objective that is no sum over rows, such as `Iwae`, is refused.

    Args:
        prior: p(w), or one that reads other shared latents.
        posterior: q(w), which reads no row either: mostly `LearnedPrior`, a family with parameters of its own.
        rows: N, how many rows share it. `fit` puts in the number of rows that it trains on.

    Source: Hoffman, Blei, Wang and Paisley, 2013.

    Raises `UsageError` for fewer rows than 1, and where a prior or a posterior reads what differs between rows.

    >>> from vaekit.core import Parametric
    >>> from vaekit.families import FullNormal, Known, Normal
    >>> from vaekit.priors import LearnedPrior, standard_normal
    >>> mean = Global(standard_normal(3), LearnedPrior(FullNormal(), 3), rows=100)
    >>> model = VAE(Parametric(torch.nn.Identity(), Normal(Known(1.0)), given="mean"), mean=mean)
    >>> trace = model.trace(torch.randn(5, 3), samples=7)
    >>> trace.latents["mean"].value.shape, trace.log_weight.shape
    (torch.Size([7, 1, 3]), torch.Size([7, 5]))
    """

    def __init__(self, prior: Conditional, posterior: Conditional, rows: int) -> None:
        super().__init__(Shared(prior, rows), Shared(posterior, rows))


class Shared(Conditional):
    """A conditional of a value that N rows share: its log-density is the share of one row, log p / N."""

    rows: Tensor

    def __init__(self, whole: Conditional, rows: int) -> None:
        super().__init__()
        if rows < 1:
            raise UsageError(f"a latent that {rows} rows share: give the number of rows, at least 1")
        self.whole = whole
        self.given = whole.given
        self.register_buffer("rows", torch.tensor(float(rows)))

    def meet(self, rows: Rows) -> None:
        """Take the number of the training rows."""
        self.rows.fill_(len(rows))

    def forward(self, context: Context) -> Distribution:
        whole: Distribution = self.whole(context)
        if whole.batch_shape[-1:].numel() != 1:
            reads = ", ".join(map(repr, self.given))
            raise UsageError(f"a latent that all rows share reads {reads}, which differs between rows: leave that out")
        return RowShare(whole, self.rows)

    def formula(self, name: str) -> Formula:
        whole = formula_of(self.whole, name)
        return replace(whole, body=f"{whole.body}, one for all rows")

    def extra_repr(self) -> str:
        return f"rows={float(self.rows):g}"


class RowShare(Distribution):
    """The distribution of a value that N rows share, one value for all rows of a batch.

    Draws are of the whole distribution; `log_prob`, `entropy` and KL are the share of one row: those of the whole, / N.

    >>> whole = torch.distributions.MultivariateNormal(torch.zeros(1, 1, 2), torch.eye(2))
    >>> share = RowShare(whole, torch.tensor(10.0)).expand(Size((4, 5)))
    >>> share.batch_shape, bool(10 * share.log_prob(torch.ones(2))[0, 0] == whole.log_prob(torch.ones(2)))
    (torch.Size([4, 1]), True)
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, whole: Distribution, rows: Tensor) -> None:
        self.whole, self.rows = whole, rows
        super().__init__(whole.batch_shape, whole.event_shape, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws have a pathwise gradient."""
        return self.whole.has_rsample

    @property
    def support(self) -> Constraint:
        """That of the whole."""
        return self.whole.support or constraints.real

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.whole.mean

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate."""
        return self.whole.variance

    def expand(self, batch_shape: Size, _instance: None = None) -> RowShare:  # type: ignore[override]
        """One value for all rows, whatever the batch: only the sample axis grows."""
        return RowShare(self.whole.expand(Size((*batch_shape[:-1], 1))), self.rows)

    def sample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """A draw, without a gradient."""
        return self.whole.sample(sample_shape)

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """A draw with a pathwise gradient."""
        return self.whole.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) / N."""
        return self.whole.log_prob(value) / self.rows

    def entropy(self) -> Tensor:
        """The entropy / N."""
        return self.whole.entropy() / self.rows


def _kl_of_shares(p: RowShare, q: RowShare) -> Tensor:
    return kl_divergence(p.whole, q.whole) / p.rows


register_kl(RowShare, RowShare)(_kl_of_shares)


def shared_latents(model: VAE) -> tuple[str, ...]:
    """The latents that all rows share."""
    return tuple(name for name, latent in model.latents() if isinstance(latent, Global))


def learnt(model: VAE, rows: int) -> dict[str, Tensor]:
    """What all rows share, as the data have taught it: a posterior draw for each of some new rows, `(rows, *event)`.

    Given these, a model makes rows up from the posterior predictive density; left to itself, from what was believed
    of the shared latents before there were any data.
    """
    context: dict[str, Tensor] = {}
    shared = shared_latents(model)
    for name in (part for part in model.inference_order if part in shared):
        posterior = model.parts[name].posterior
        assert isinstance(posterior, Shared)
        context[name] = draw(posterior.whole(context), (1, rows)).value
    return {name: value.squeeze(0) for name, value in context.items()}
