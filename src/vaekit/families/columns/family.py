"""Columns: the likelihood of a table's row, a product over its columns, each on its own scale."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.families.columns.cells import GroupCells
from vaekit.families.columns.groups import COLUMN_FAMILIES
from vaekit.families.columns.groups.group import Group, ScaleFor
from vaekit.families.columns.marginal import Marginal
from vaekit.families.scalars import NO_SHAPE, Shape
from vaekit.families.scale import Learned


class Columns(Family):
    r"""The columns of a table, independent of each other given the latents; what is missing, as NaN, is left out.

    .. math:: \log p(x_{obs} \mid z) = \sum_{c:\, x_c \text{ observed}} \log p_c(x_c \mid z)

    Each column has the family of its `Marginal`, on its natural scale: numbers behind a reversible warp with its
    log-Jacobian, counts and levels by their masses. Where the net says 0, each column has the distribution that was
    fitted to it. No scale of a column of numbers is below 0.01 of the column's own, so that the density of a column
    that can be foretold exactly does not grow without end.

    Args:
        marginals: of the columns, in their order.
        scale: where the scales of columns of numbers come from: `Learned`, one for each column, or by the decoder for
            each cell, `lambda event: Predicted()`.
        weights: one for each column, if its log-density shall count so many times; the sum is no likelihood then.

    Raises `UsageError` without a column, or for weights that do not fit.

    Source: Nazabal et al., 2020 (HI-VAE).

    >>> age, paid = Marginal("normal", shape=(40.0, 10.0)), Marginal("bernoulli", levels=2, start=(0.75, 0.25))
    >>> family = Columns((age, paid))
    >>> row = family(torch.zeros(1, 1, family.width(Size((2,)))))
    >>> row.column_log_prob(torch.tensor([torch.nan, 1.0])).exp().detach()  # nothing is said of the age; 1 in 4 paid
    tensor([[[1.0000, 0.2500]]])
    """

    order: Tensor
    stand_in: Tensor
    weights: Tensor | None

    def __init__(
        self, marginals: Sequence[Marginal], scale: ScaleFor = Learned, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if not marginals:
            raise UsageError("a table without a column that can be modelled: give it at least one")
        if weights is not None and len(weights) != len(marginals):
            raise UsageError(f"{len(weights)} weights for {len(marginals)} columns: give one for each")
        self.marginals = tuple(marginals)
        members = grouped(self.marginals)
        self.groups = nn.ModuleList(_made([self.marginals[at] for at in places], scale) for places in members)
        self.places = _Places(members)
        self.register_buffer("stand_in", self._stand_in(), persistent=False)
        self.register_buffer("weights", None if weights is None else torch.tensor(list(weights)), persistent=False)

    def _stand_in(self) -> Tensor:
        return self.places.joined([group.stand_in for group in self._groups])

    @property
    def _groups(self) -> list[Group]:
        return [group for group in self.groups if isinstance(group, Group)]

    def width(self, event_shape: Size = NO_SHAPE) -> int:
        """How many numbers the net gives for a row.

        Raises `UsageError` for rows of another shape than one cell for each column.
        """
        if event_shape and event_shape != Size((len(self.marginals),)):
            raise UsageError(f"{len(self.marginals)} columns cannot explain rows of shape {tuple(event_shape)}")
        return sum(group.width for group in self._groups)

    def forward(self, params: Tensor) -> ColumnsDistribution:
        shares = params.split([group.width for group in self._groups], -1)
        cells = [group(share) for group, share in zip(self._groups, shares, strict=True)]
        return ColumnsDistribution(self, cells, params.shape[:-1])

    @property
    def support(self) -> TableSupport:
        return TableSupport(self.places, [group.support for group in self._groups])

    def density(self, x: Tensor) -> Density:
        held = Counter[str]()
        for group in self._groups:
            held[group.of] += group.columns
        of = f"cells of a table ({', '.join(f'{count} of {what}' for what, count in held.items())})"
        if self.weights is not None:
            return Density(of, "weighted sum of the columns' log-densities", is_likelihood=False)
        return Density(of, _kind([bool(group.support.is_discrete) for group in self._groups]))

    def written(self, reads: str) -> str:
        laws = Counter[str]()
        for group in self._groups:
            laws[group.written(reads)] += group.columns
        return " · ".join(law if count == 1 else f"∏{count} {law}" for law, count in laws.items())

    def extra_repr(self) -> str:
        return f"{len(self.marginals)} columns"


def _kind(discrete: Sequence[bool]) -> str:
    if all(discrete):
        return "probability mass"
    return "probability mass and density" if any(discrete) else "probability density"


def grouped(marginals: Sequence[Marginal]) -> list[list[int]]:
    """The places of columns that are explained together."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place, marginal in enumerate(marginals):
        found[marginal.family, COLUMN_FAMILIES[marginal.family].kin(marginal)].append(place)
    return list(found.values())


def _made(marginals: Sequence[Marginal], scale: ScaleFor) -> Group:
    return COLUMN_FAMILIES[marginals[0].family](marginals, scale)


class _Places(nn.Module):
    """Which columns are in which group: takes columns apart, and joins them again in their own order."""

    order: Tensor

    def __init__(self, members: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.sizes = [len(places) for places in members]
        flat = torch.tensor([place for places in members for place in places])
        self.in_order = bool((flat.diff() > 0).all())
        self.register_buffer("flat", flat, persistent=False)
        self.register_buffer("order", flat.argsort(), persistent=False)

    flat: Tensor

    def apart(self, value: Tensor) -> tuple[Tensor, ...]:
        """The columns `(..., C)` of each group."""
        by_group = value if self.in_order else value.index_select(-1, self.flat.to(value.device))
        return tuple(by_group.split(self.sizes, -1))

    def joined(self, parts: Sequence[Tensor]) -> Tensor:
        """The columns of all groups, `(..., C)`."""
        by_group = torch.cat(list(parts), -1)
        return by_group if self.in_order else by_group.index_select(-1, self.order.to(by_group.device))


class TableSupport(Constraint):
    """What each column's cells may hold: what its family explains, or NaN."""

    def __init__(self, places: _Places, of: Sequence[Constraint]) -> None:
        self.places, self.of = places, list(of)
        super().__init__()

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Whether all columns are."""
        return all(each.is_discrete for each in self.of)

    @property
    def measure(self) -> str:
        """What the density is one by."""
        return "counting" if self.is_discrete else "volume of the cells of a table"

    def observed(self, value: Tensor) -> Tensor:
        """Which cells hold what can be explained, `(..., C)`."""
        parts = zip(self.of, self.places.apart(value), strict=True)
        return self.places.joined([constraint.check(part) for constraint, part in parts])

    def check(self, value: Tensor) -> Tensor:
        return self.observed(value) | value.isnan()

    def __repr__(self) -> str:
        return "numbers, counts, and levels as whole numbers from 0, each as its column has it, or missing"


class ColumnsDistribution(Distribution):
    """A row of a table, `(C,)`: independent cells, of which those that are NaN are left out of `log_prob`.

    `mean` is the conditional mean of numbers and counts, the most probable level of categories and the median level
    of an order; `mode` has the most probable value of each column; `variance` is NaN where values are levels.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = False

    def __init__(self, family: Columns, cells: Sequence[GroupCells], batch_shape: Size) -> None:
        self.family, self.cells = family, list(cells)
        super().__init__(batch_shape, Size((len(family.marginals),)), validate_args=False)

    def expand(self, batch_shape: Shape, _instance: None = None) -> ColumnsDistribution:
        """The same distribution, broadcast."""
        lead = Size(batch_shape)
        columns = [Size((*lead, size)) for size in self._places.sizes]
        cells = [each.expand(shape) for each, shape in zip(self.cells, columns, strict=True)]
        return ColumnsDistribution(self.family, cells, lead)

    @property
    def _places(self) -> _Places:
        return self.family.places

    @property
    def support(self) -> TableSupport:
        """The values of draws, none of which is missing."""
        return self.family.support

    def column_log_prob(self, value: Tensor) -> Tensor:
        """The log-density of each cell, `(sample, batch, C)`: 0 where it is missing, -inf outside the support."""
        explained = self.support.observed(value)
        parts = self._places.apart(torch.where(explained, value, self.family.stand_in.to(value)))
        found = self._places.joined([each.log_prob(part) for each, part in zip(self.cells, parts, strict=True)])
        found = torch.where(explained, found, torch.where(value.isnan(), 0.0, -torch.inf).to(found))
        return found if self.family.weights is None else found * self.family.weights

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of what is observed, `(sample, batch)`."""
        return self.column_log_prob(value).sum(-1)

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """Rows without a gradient, no cell of which is missing."""
        if sample_shape:
            return self.expand(self._extended_shape(Size(sample_shape))[:-1]).sample()
        with torch.no_grad():
            return self._places.joined([each.sample() for each in self.cells])

    @property
    def mean(self) -> Tensor:
        """The mean of numbers, the most probable level, the median level of an order."""
        return self.decided(self.expected)

    @property
    def mode(self) -> Tensor:
        """The most probable value of each column; behind a warp that bends, what the mode at unit scale stands for."""
        return self._places.joined([each.mode for each in self.cells])

    @property
    def variance(self) -> Tensor:
        """The variance of numbers and counts, NaN for levels."""
        return self._places.joined([each.variance for each in self.cells])

    @property
    def expected(self) -> Tensor:
        """The mean of each cell's features, `(sample, batch, features)`: numbers, and probabilities of levels."""
        return torch.cat([each.expected for each in self.cells], -1)

    def features(self, x: Tensor) -> Tensor:
        """Features whose mean over draws means something: numbers, and one-hot levels; `(..., features)`."""
        parts = zip(self.cells, self._places.apart(x), strict=True)
        return torch.cat([each.features(part) for each, part in parts], -1)

    def decided(self, features: Tensor) -> Tensor:
        """The cells that features tell of, `(..., C)`."""
        widths = [each.feature_width for each in self.cells]
        parts = zip(self.cells, features.split(widths, -1), strict=True)
        return self._places.joined([each.decided(part) for each, part in parts])

    def levelled(self) -> Tensor:
        """Which cells are levels, and no numbers, `(C,)`."""
        device = self.family.places.order.device
        return torch.tensor([marginal.levels > 0 for marginal in self.family.marginals], device=device)
