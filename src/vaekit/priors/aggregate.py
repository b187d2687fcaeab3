"""The aggregate posterior of known rows as a prior."""

from __future__ import annotations

import torch
from torch import Tensor

from vaekit.core import Conditional, Context
from vaekit.core.meeting import ROW
from vaekit.core.notation import Formula, Symbol
from vaekit.priors.normals import NormalsAround


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
        visible = (context[ROW].unsqueeze(-1) != self.numbers).squeeze(0) if ROW in context else None
        return NormalsAround(self.means, self.scales, visible)

    def extra_repr(self) -> str:
        return f"rows={len(self.means)}, latent={self.means.shape[1]}"

    def formula(self, name: str) -> Formula:
        rows = Symbol("xₙ", f"known rows, n = 1 … {len(self.means)}")
        return Formula(name, "~", f"1/N Σₙ q({name} | xₙ)", symbols=(rows,))
