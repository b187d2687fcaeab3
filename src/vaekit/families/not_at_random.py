"""Missing not at random: likelihoods for which that a cell is missing tells something of its value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid, softplus

from vaekit.common.errors import UsageError
from vaekit.core.conditional import Conditional, Explains
from vaekit.core.context import LEAD, Context
from vaekit.core.density import Density
from vaekit.core.notation import Formula, formula_of, term
from vaekit.families.missing import Cells, Filled, FillsHoles, cells_of, in_holes
from vaekit.families.scalars import NO_SHAPE, Shape

SOON = 5.0
"""How much faster than the weights of nets the slopes of curves are learned."""
STEEP = 4.0
"""The slope at which a curve starts of which it is known whether it rises, at unit scale."""


class Missingness(nn.Module, ABC):
    """p(s | x): which cells of a row are missing, each by itself, given the values of them all."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """The logits of being missing of each cell, `(n, *event)`, of complete rows `(n, *event)`."""


class SelfMasking(Missingness):
    r"""A cell's own value decides: :math:`\mathrm{logit}\, p(s_d = 1 | x) = a_d + w_d (x_d - c_d) / r_d`.

    A monotone logistic curve for each cell, rising or falling as it is learned, and soon: while it is flat, a hole is
    best explained by a value far off, from where nothing calls it back.

    Args:
        event_shape: of a row.
        centre, spread: c and r, numbers or `(*event)`: where values lie, so that w starts at a unit scale.

    Source: Ipsen, Mattei and Frellsen, 2021.

    >>> SelfMasking((3,))(torch.zeros(5, 3)).shape
    torch.Size([5, 3])
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, event_shape: Sequence[int], centre: Tensor | float = 0.0, spread: Tensor | float = 1.0) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(tuple(event_shape)))
        self.slope = nn.Parameter(torch.zeros(tuple(event_shape)))
        self.register_buffer("centre", torch.as_tensor(centre, dtype=self.slope.dtype))
        self.register_buffer("spread", torch.as_tensor(spread, dtype=self.slope.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return self.offset + self.slopes() * (x - self.centre) / self.spread

    def slopes(self) -> Tensor:
        """w, `(*event)`."""
        return SOON * self.slope

    def written(self, reads: str) -> str:
        """The curve, as a term."""
        return f"Bernoulli(σ(a + w {reads}))"


class SelfMaskingOneWay(SelfMasking):
    r"""Self-masking of which it is known whether high or low values are missing: w is `towards` times a softplus.

    Where nobody has seen a high value, what was observed hardly tells that there are any: whether the curve rises is
    best said. It starts steep.

    Args:
        event_shape: of a row.
        towards: 1 if high values are missing more, -1 if low ones are.

    Raises `UsageError` for another direction.

    Source: Ipsen, Mattei and Frellsen, 2021.

    >>> bool((SelfMaskingOneWay((3,), towards=-1).slopes() < 0).all())
    True
    """

    def __init__(self, event_shape: Sequence[int], towards: int) -> None:
        super().__init__(event_shape)
        if towards not in (-1, 1):
            raise UsageError(f"masking towards {towards}: 1 if high values are missing more, -1 if low ones are")
        self.towards = towards

    def slopes(self) -> Tensor:
        return self.towards * softplus(SOON * self.slope + STEEP)

    def written(self, reads: str) -> str:
        """The curve, as a term."""
        return f"Bernoulli(σ(a {'+' if self.towards > 0 else '−'} softplus(w) {reads}))"


class ByColumn(Missingness):
    """A cell's own value decides, by a curve of its own for each column of a table.

    Args:
        curves: nets from the cells of one column `(n, 1)` to logits `(n, 1)`, in the columns' order.

    >>> ByColumn([nn.Linear(1, 1), nn.Linear(1, 1)])(torch.zeros(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, curves: Iterable[nn.Module]) -> None:
        super().__init__()
        self.curves = nn.ModuleList(curves)

    def forward(self, x: Tensor) -> Tensor:
        cells = x.split(1, dim=-1)
        return torch.cat([curve(cell) for curve, cell in zip(self.curves, cells, strict=True)], -1)

    def written(self, reads: str) -> str:
        """A curve for each cell, as a term."""
        return f"Bernoulli(σ(w_d({reads}_d)))"


class ByNet(Missingness):
    """The whole row decides: the logits are the output of a net, which may be affine.

    Args:
        net: from rows `(n, *event)`, as `eye` shows them, to logits `(n, *event)`.
        eye: what the net sees of a row: `HolesSeen`, or the features of a table's columns. None for the row itself.

    Source: Ipsen, Mattei and Frellsen, 2021.

    >>> ByNet(nn.Linear(3, 3))(torch.zeros(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, net: nn.Module, eye: nn.Module | None = None) -> None:
        super().__init__()
        self.net = net
        self.eye = nn.Identity() if eye is None else eye

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(self.eye(x))
        return logits

    def written(self, reads: str) -> str:
        """The net, as a term."""
        return f"Bernoulli(σ({term(self.net, reads, otherwise='net')}))"


class NotAtRandom(Conditional):
    r"""A likelihood of what was observed, and of which cells were: s, 1 where one is missing.

    .. math:: \log p(x_{obs}, s \mid z) = \log p(x_{obs} \mid z)
        + \log \int p(s \mid x_{obs}, x_{mis}) \, p(x_{mis} \mid z) \, dx_{mis}

    The integral is estimated by one draw of x_mis for each draw of z, afresh whenever the density is asked for. As
    every draw is one of (z, x_mis), a bound of K draws of z is the bound of K draws of both, and its limit for many is
    the exact log p(x_obs, s). Its density of one draw alone is a lower bound in expectation.

    Its gradient goes through x_mis where draws have a path; else the draws are held still, as a proposal.

    Args:
        likelihood: p(x | z), of separate cells.
        missingness: p(s | x).

    Raises `UsageError` where the coordinates of the likelihood hang together.

    Source: Ipsen, Mattei and Frellsen, 2021.

    >>> from vaekit.core import Parametric
    >>> from vaekit.families import Known, Normal
    >>> from vaekit.families.missing import Observed
    >>> decoder = Parametric(nn.Linear(2, 3), Observed(Normal(Known())), given="z")
    >>> likelihood = NotAtRandom(decoder, SelfMasking((3,)))
    >>> rows = torch.tensor([[0.0, torch.nan, 1.0]]).unsqueeze(0)
    >>> likelihood({"z": torch.zeros(7, 1, 2)}).log_prob(rows).shape
    torch.Size([7, 1])
    """

    draws_noise = True

    def __init__(self, likelihood: Conditional, missingness: Missingness) -> None:
        super().__init__()
        self.likelihood, self.missingness = likelihood, missingness
        self.given = likelihood.given

    def forward(self, context: Context) -> Distribution:
        return NotAtRandomDistribution(self.likelihood(context), self.missingness)

    def formula(self, name: str) -> Formula:
        of_cells = formula_of(self.likelihood, name)
        return Formula(f"missing | {name}", "~", term(self.missingness, name), where=(of_cells,))

    @property
    def support(self) -> Constraint:
        """The values it can explain."""
        assert isinstance(self.likelihood, Explains)
        return self.likelihood.support

    def density(self, x: Tensor) -> Density:
        """That of the cells, and of which were observed."""
        assert isinstance(self.likelihood, Explains)
        of_cells = self.likelihood.density(x)
        return Density(f"{of_cells.of}, and which of them are missing", of_cells.kind, of_cells.is_likelihood)


class NotAtRandomDistribution(FillsHoles):
    """Rows with holes, by the distribution of their cells and by what makes holes. Draws are complete rows."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, base: Distribution, missingness: Missingness) -> None:
        self.base, self.missingness = base, missingness
        self.cells: Cells = cells_of(base)
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def support(self) -> Constraint | None:
        """The values of draws."""
        return self.base.support

    def expand(self, batch_shape: Shape, _instance: None = None) -> NotAtRandomDistribution:
        """The same distribution, broadcast."""
        return NotAtRandomDistribution(self.base.expand(Size(batch_shape)), self.missingness)

    def filled(self, x: Tensor) -> Filled:
        drawn = in_holes(x, self.cells.rsample() if self.cells.has_rsample else self.cells.sample())
        log_prob = self.cells.log_prob(x) + self.log_missing(drawn, x.isnan()) + self._of_still_draws(drawn, x.isnan())
        return Filled(log_prob, drawn, self.cells.features(drawn.detach()))

    def log_missing(self, x: Tensor, missing: Tensor) -> Tensor:
        lead = x.shape[:LEAD]
        logits: Tensor = self.missingness(x.flatten(0, 1)).unflatten(0, lead)
        return logsigmoid(torch.where(missing, logits, -logits)).flatten(LEAD).sum(-1)

    def _of_still_draws(self, drawn: Tensor, missing: Tensor) -> Tensor:
        """0, with the gradient of log p(x_mis | z) - log q(x_mis), q being p held still: for draws without a path."""
        if self.cells.has_rsample or not torch.is_grad_enabled():
            return torch.zeros((), device=drawn.device)
        in_hole = torch.where(missing, drawn, torch.nan)
        log_prob = self.cells.log_prob(in_hole)
        return log_prob - log_prob.detach()

    def log_prob(self, value: Tensor) -> Tensor:
        """A draw of the bound of log p(x_obs, s | z), `(sample, batch)`."""
        return self.filled(value).log_prob

    @property
    def mean(self) -> Tensor:
        """The mean of complete rows."""
        return self.base.mean

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Complete rows, without a gradient."""
        return self.base.sample(Size(sample_shape))
