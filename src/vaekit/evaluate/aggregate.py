"""What the latents tell of x, and how far the aggregate posterior is from the prior."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.chunks import ROWS
from vaekit.common.errors import UsageError
from vaekit.core import NOTHING, VAE, Context
from vaekit.core.coordinates import coordinates
from vaekit.core.latent import LatentTerm
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.evidence import at_rows, refuse_points, row_slices
from vaekit.evaluate.inference import Inference, posterior_draws
from vaekit.evaluate.rate import over_samples
from vaekit.objectives import analytic_kl, coordinate_kl
from vaekit.train.means import evaluating

PAIRS_AT_ONCE = 2**23
"""How many pairs of a draw and a row, times coordinates, are held at once: 32 MiB in float32."""


@dataclass(frozen=True)
class CoordinateInformation:
    """The rate and the mutual information of each coordinate by itself, `(*event)` each, in nats."""

    rate: Tensor
    mutual_information: Tensor

    @property
    def marginal_kl(self) -> Tensor:
        """KL(q(z_d) || p(z_d)): how far the coordinate's aggregate posterior is from its prior."""
        return self.rate - self.mutual_information


@dataclass(frozen=True)
class LatentInformation:
    """What one latent carries, in nats per example.

    `mutual_information` is I(x; z_l | latents inferred before it), so that those of all latents add up.
    """

    rate: Estimate
    mutual_information: Estimate
    coordinates: CoordinateInformation | None
    """Where its coordinates are independent, a priori and given x, and its posterior reads no other latent."""


@dataclass(frozen=True)
class Information:
    """How much the latents tell of x, and how far the aggregate posterior is from the prior, in nats per example.

    The rate is the sum of the two, E KL(q(z | x) || p(z)) = I(x; z) + KL(q(z) || p(z)). See `information`.
    """

    rows: int
    rate: Estimate
    mutual_information: Estimate
    """From the aggregate posterior of these rows: a lower bound in expectation, and never above `ceiling`."""
    mutual_information_above: Estimate
    """An upper bound in expectation."""
    latents: Mapping[str, LatentInformation]

    @property
    def ceiling(self) -> float:
        """log N: N rows can tell of no more than that, however much the latents know of x."""
        return math.log(self.rows)

    @property
    def marginal_kl(self) -> Estimate:
        """KL(q(z) || p(z)) of the aggregate posterior: an upper bound in expectation."""
        return _minus(self.rate, self.mutual_information)

    @property
    def marginal_kl_below(self) -> Estimate:
        """KL(q(z) || p(z)): a lower bound in expectation."""
        return _minus(self.rate, self.mutual_information_above)


def _minus(a: Estimate, b: Estimate) -> Estimate:
    return Estimate(a.value - b.value, math.hypot(a.stderr, b.stderr))


def information(model: VAE, x: Tensor, draws: int = 1000, given: Context = NOTHING) -> Information:
    r"""Mutual information and marginal KL by the aggregate posterior of the rows.

    .. math:: q(z) = \frac{1}{N} \sum_{n=1}^{N} q(z \mid x_n), \qquad I(x; z) = E \log \frac{q(z \mid x)}{q(z)}

    Of these N rows as a population the estimate is unbiased. Of the population that they come from it is a lower bound
    in expectation, because the row that made a draw is always among the N, and at most log N: 9.2 nats for 10,000
    rows, which images exceed. Leaving that row out gives the upper bound (Poole et al., 2019), which is far above where
    posteriors hardly overlap; the rate is an upper bound too, and the smaller of the two is reported.
    Standard errors are over the draws.

    Args:
        model: the model; it is not changed.
        x: `(batch, *event)`, at least 2 rows; all of them make up the aggregate posterior.
        draws: of z, from different rows, as many as there are or fewer.
        given: conditions, `(batch, *event)` each.

    Raises `UsageError` for fewer than 2 rows or draws, and a latent whose posterior is a point.

    Source: Hoffman and Johnson, 2016; Poole et al., 2019.

    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> found = information(model, torch.rand(50, 6).round())
    >>> found.mutual_information.value <= found.ceiling
    True
    """
    if len(x) < 2 or draws < 2:
        raise UsageError(f"{len(x)} rows and {draws} draws: mutual information needs at least 2 of each")
    refuse_points(model, "mutual information")
    with torch.no_grad(), evaluating(model):
        chosen = torch.randperm(len(x), device=x.device)[:draws]
        drawn = posterior_draws(model, x[chosen], {name: value[chosen] for name, value in given.items()})
        pairs = _pairs(model, x, given, chosen, {name: value.unsqueeze(1) for name, value in drawn.items()})
        rates = _rates(model, x, given)
    return _information(len(x), rates, pairs)


@dataclass(frozen=True)
class Rates:
    """The rate of each row in one latent, `(batch,)`, and the mean rate of its coordinates where it has such."""

    of_rows: Tensor
    of_coordinates: Tensor | None


@dataclass
class Mixture:
    """The log-density of draws under the posterior of their own row and, row by row, under the others'."""

    own: Tensor
    others: Tensor
    rows: int

    @staticmethod
    def empty(shape: tuple[int, ...], rows: int) -> Mixture:
        """Before any row."""
        none = torch.full(shape, -math.inf, dtype=torch.float64)
        return Mixture(none, none.clone(), rows)

    def add(self, at: slice, log_densities: Tensor, is_own: Tensor) -> None:
        """Add, for draws m at these places and n rows, log-densities `(m, n, quantities)`; which is whose, `(m, n)`."""
        draw, row = is_own.nonzero(as_tuple=True)
        self.own[at][draw.cpu()] = log_densities[draw, row].cpu().double()
        of_others = log_densities.masked_fill(is_own.unsqueeze(-1), -math.inf).logsumexp(1)
        self.others[at] = torch.logaddexp(self.others[at], of_others.cpu().double())

    @property
    def information(self) -> Tensor:
        """log q(z | x) - log q(z), with q(z) over all rows, `(draw, quantity)`."""
        return self.own - torch.logaddexp(self.own, self.others) + math.log(self.rows)

    @property
    def information_above(self) -> Tensor:
        """log q(z | x) - log q(z), with q(z) over the other rows, `(draw, quantity)`."""
        return self.own - self.others + math.log(self.rows - 1)


@dataclass(frozen=True)
class Pairs:
    """Draws against rows: all latents up to each in the order of inference, and coordinates one by one."""

    names: tuple[str, ...]
    joint: Mixture
    coordinates: Mapping[str, Mixture]


def _pairs(model: VAE, x: Tensor, given: Context, chosen: Tensor, latents: Context) -> Pairs:
    m, widest = len(chosen), max(value[0].numel() for value in latents.values())
    first = Inference(model, x[:1], at_rows(given, slice(1)))
    joint = Mixture.empty((m, len(first.names)), len(x))
    coordinates = {name: Mixture.empty((m, latents[name][0].numel()), len(x)) for name in first.of_x_alone}
    for rows in row_slices(x, ROWS):
        inference = Inference(model, x[rows], at_rows(given, rows))
        index = torch.arange(len(x), device=x.device)[rows]
        for some in row_slices(chosen, max(1, PAIRS_AT_ONCE // (len(index) * widest))):
            z, is_own = at_rows(latents, some), chosen[some].unsqueeze(1) == index
            logs = [log_prob.expand(is_own.shape) for log_prob in inference.log_probs(z).values()]
            joint.add(some, torch.stack(logs, -1).cumsum(-1), is_own)
            for name, log_densities in _by_coordinate(inference, z).items():
                coordinates[name].add(some, log_densities, is_own)
    found = {name: mixture for name, mixture in coordinates.items() if mixture.own.isfinite().any()}
    return Pairs(first.names, joint, found)


def _by_coordinate(inference: Inference, z: Context) -> dict[str, Tensor]:
    """log q(z_d | x) of the latents that have independent coordinates and read x alone, `(m, n, coordinates)`."""
    posteriors = inference.posteriors(z)
    parts = {name: coordinates(posteriors[name]) for name in inference.of_x_alone}
    return {name: part.log_prob(z[name]).flatten(2) for name, part in parts.items() if part is not None}


def _rates(model: VAE, x: Tensor, given: Context) -> dict[str, Rates]:
    parts = dict[str, list[tuple[Tensor, Tensor | None]]]()
    for rows in row_slices(x, ROWS):
        for name, term in model.trace(x[rows], 1, at_rows(given, rows)).latents.items():
            if term.drawn is not None:
                parts.setdefault(name, []).append((over_samples(analytic_kl(term), x[rows]), _coordinate_rates(term)))
    return {name: _joined_rates(found) for name, found in parts.items()}


def _coordinate_rates(term: LatentTerm) -> Tensor | None:
    """The rate of each row in each coordinate, `(batch, *event)`, where there are independent ones."""
    rates = coordinate_kl(term)[0]
    return rates.cpu().double() if rates.shape[1:] == term.value.shape[2:] else None


def _joined_rates(parts: list[tuple[Tensor, Tensor | None]]) -> Rates:
    coordinates = [part for _, part in parts if part is not None]
    means = torch.cat(coordinates).mean(0) if coordinates else None
    return Rates(torch.cat([rows for rows, _ in parts]), means)


def _information(rows: int, rates: Mapping[str, Rates], pairs: Pairs) -> Information:
    up_to = pairs.joint.information
    of_each = up_to.diff(dim=1, prepend=torch.zeros_like(up_to[:, :1]))
    latents = {
        name: LatentInformation(
            Estimate.mean_of(rates[name].of_rows), Estimate.mean_of(of_each[:, place]), _coordinates(name, rates, pairs)
        )
        for place, name in enumerate(pairs.names)
    }
    rate = Estimate.mean_of(torch.stack([rates[name].of_rows for name in pairs.names]).sum(0))
    above = Estimate.mean_of(pairs.joint.information_above[:, -1])
    smaller = min(above, rate, key=lambda bound: bound.value)
    return Information(rows, rate, Estimate.mean_of(up_to[:, -1]), smaller, latents)


def _coordinates(name: str, rates: Mapping[str, Rates], pairs: Pairs) -> CoordinateInformation | None:
    rate = rates[name].of_coordinates
    if rate is None or name not in pairs.coordinates:
        return None
    return CoordinateInformation(rate, pairs.coordinates[name].information.mean(0).view(rate.shape))
