"""The aggregate posterior of known rows as the prior by which rows are scored."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Normal, constraints
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch, Conditional, Context
from vaekit.core.meeting import ROW
from vaekit.flows.distribution import Shape
from vaekit.objectives.kl import coordinates
from vaekit.priors.refit import with_prior
from vaekit.train.means import evaluating

COMPONENTS = 1500
"""Known rows that are enough to tell where codes lie."""
AT_ONCE = 256
"""How many of them are held against the draws at a time, to bound memory."""


class NormalsAround(Distribution):
    r"""Equal parts of independent normals, :math:`\frac{1}{N} \sum_n N(z; \mu_n, \operatorname{diag} \sigma_n^2)`.

    Args:
        means: `(N, D)`.
        scales: `(N, D)`, standard deviations.
        hidden: which of them are left out for which example, `(1, batch, N)`; none, if not given.

    Distances are matrix products in float64, whatever the type of the values.

    >>> pair = NormalsAround(torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1))
    >>> float(pair.log_prob(torch.zeros(1, 1, 1)))  # that of one normal, at a standard deviation from its mean
    -1.418938...
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = False

    def __init__(
        self,
        means: Tensor,
        scales: Tensor,
        hidden: Tensor | None = None,
        lead: Size = Size((1, 1)),  # noqa: B008
    ) -> None:
        self.means, self.scales, self.hidden = means, scales, hidden
        super().__init__(lead, means.shape[1:], validate_args=False)

    @property
    def support(self) -> Constraint:
        """All real vectors."""
        return constraints.independent(constraints.real, 1)

    def expand(self, batch_shape: Shape, _instance: None = None) -> NormalsAround:
        """The same mixture, more of them."""
        return NormalsAround(self.means, self.scales, self.hidden, Size(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of the mean density, `(sample, batch)`."""
        starts = range(0, len(self.means), AT_ONCE)
        parts = [self._log_sum(value.double(), slice(start, start + AT_ONCE)) for start in starts]
        return (torch.stack(parts).logsumexp(0) - self._log_total()).to(value)

    def _log_sum(self, z: Tensor, part: slice) -> Tensor:
        means, scales = self.means[part].double(), self.scales[part].double()
        precisions = scales.square().reciprocal()
        squares = z.square() @ precisions.T - 2 * z @ (means * precisions).T + (means.square() * precisions).sum(1)
        each = -squares / 2 - scales.log().sum(1) - means.shape[1] * math.log(2 * math.pi) / 2
        if self.hidden is not None:
            each = each.masked_fill(self.hidden[..., part], -math.inf)
        log_sum: Tensor = each.logsumexp(-1)
        return log_sum

    def _log_total(self) -> Tensor | float:
        if self.hidden is None:
            return math.log(len(self.means))
        return (~self.hidden).sum(-1).double().log()

    def sample(self, sample_shape: Size = Size()) -> Tensor:  # type: ignore[override]  # noqa: B008
        """A component for each draw, then a draw of it; with equal chances, whatever is hidden."""
        number = torch.randint(len(self.means), (*sample_shape, *self.batch_shape), device=self.means.device)
        return self.means[number] + self.scales[number] * torch.randn_like(self.means[number])

    @property
    def mean(self) -> Tensor:
        """The mean of the means."""
        return self.means.mean(0).expand(self.batch_shape + self.event_shape)


class AggregatePosterior(Conditional):
    r"""The aggregate posterior of known rows, :math:`q(z) = \frac{1}{N} \sum_n q(z \mid x_n)`, as a prior.

    Of all priors it is the one that gives the known rows the best ELBO. A row whose number (`ROW`) is known beside it
    is left out of its own prior.

    Args:
        means: of the posteriors, `(N, D)`.
        scales: their standard deviations, `(N, D)`.
        numbers: of the known rows, `(N,)`; 0, 1, ... if not given.

    Source: Hoffman and Johnson, 2016; Tomczak and Welling, 2018.

    >>> prior = AggregatePosterior(torch.zeros(2, 3), torch.ones(2, 3))
    >>> float(prior({}).log_prob(torch.zeros(1, 1, 3)))  # -3/2 log(2 pi)
    -2.756815...
    """

    means: Tensor
    scales: Tensor
    numbers: Tensor

    def __init__(self, means: Tensor, scales: Tensor, numbers: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("means", means)
        self.register_buffer("scales", scales)
        self.register_buffer("numbers", torch.arange(len(means)) if numbers is None else numbers)

    def forward(self, context: Context) -> NormalsAround:
        hidden = context[ROW].unsqueeze(-1) == self.numbers if ROW in context else None
        return NormalsAround(self.means, self.scales, hidden)

    def extra_repr(self) -> str:
        return f"rows={len(self.means)}, latent={self.means.shape[1]}"


def aggregated(model: VAE, batch: Batch, latent: str = "z", seed: int = 0) -> VAE:
    """The model with the aggregate posterior of known rows, or of some of them at random, in the place of its prior.

    By the prior that a VAE is trained with, a code between two clusters of the known rows is as good as one of theirs;
    by this one it is odd. All that is asked of a VAE can be asked of this one, -log p(x) first of all.

    Args:
        model: the model; it is not changed, and its parts are shared.
        batch: known rows, `(n, *event)`, as the model sees them.
        latent: whose prior it is.
        seed: of the choice of rows, where there are more than are needed.

    Raises `UsageError` for a posterior that is not one of independent normals, and as `with_prior` does.

    >>> from vaekit.recipes import build
    >>> model = build("vae", (6,), latent=2).model
    >>> aggregated(model, Batch(torch.rand(50, 6))).parts["z"].prior
    AggregatePosterior(rows=50, latent=2)
    """
    with seeded(seed, batch.x.device):
        numbers = torch.randperm(len(batch), device=batch.x.device)[:COMPONENTS]
    x, given = batch.x[numbers], {name: value[numbers] for name, value in batch.given.items()}
    with torch.no_grad(), evaluating(model):
        posterior = coordinates(model.posterior(x, given=given)[latent].distribution)
    if not isinstance(posterior, Normal):
        raise UsageError(f"the posterior of {latent!r} is not one of independent normals: keep the model's own prior")
    return with_prior(model, latent, AggregatePosterior(posterior.mean[0], posterior.stddev[0], numbers))
