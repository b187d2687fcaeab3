"""Simulation-based calibration: whether the posterior is as wide and as central as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.chunks import ROWS
from vaekit.common.errors import UsageError
from vaekit.core import NOTHING, VAE, Context
from vaekit.evaluate.evidence import at_rows, row_slices
from vaekit.evaluate.significance import uniformity
from vaekit.train.means import evaluating


@dataclass(frozen=True)
class Calibration:
    """The ranks of true latents among draws of their posterior, for one latent. See `calibration`."""

    ranks: Tensor
    """`(simulation, *event)`, each from 0 to `draws`."""
    draws: int
    bins: int

    @property
    def counts(self) -> Tensor:
        """How many ranks fall into each bin, `(*event, bins)`: a cup tells of a posterior too narrow, a cap of one
        too wide, a slope of one off to a side."""
        bin_of = self.ranks * self.bins // (self.draws + 1)
        return torch.stack([(bin_of == index).sum(0) for index in range(self.bins)], -1)

    @property
    def p_value(self) -> Tensor:
        """Of each coordinate, `(*event)`: the chi-square test of uniform ranks, which an exact posterior has."""
        return uniformity(self.counts).p_value

    @property
    def smallest_p_value(self) -> float:
        """Over all coordinates, multiplied by their number (Bonferroni)."""
        return min(1.0, float(self.p_value.min()) * self.p_value.numel())


def calibration(
    model: VAE, simulations: int = 1000, draws: int = 63, bins: int = 16, given: Context = NOTHING
) -> Mapping[str, Calibration]:
    """Draw latents from the prior, x from them, and find their rank among draws of q(z | x): uniform if q is exact.

    It judges the encoder on data that the model makes, whatever the real data are like; no truth has to be known.
    Ties, where a latent is discrete, are broken at random.

    Args:
        model: the model; it is not changed.
        simulations: of latents and data.
        draws: of the posterior for each; `draws + 1` must be a multiple of `bins`.
        bins: of the ranks; 5 simulations to each are the fewest that the test is good for.
        given: conditions, `(simulations, *event)` each.

    Source: Talts, Betancourt, Simpson, Vehtari and Gelman, 2018.

    Raises `UsageError` for ranks that cannot be parted in bins of one size, and for too few simulations.

    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> calibration(model, simulations=100)["z"].counts.shape
    torch.Size([2, 16])
    """
    if bins < 2 or (draws + 1) % bins:
        raise UsageError(f"{draws} draws make {draws + 1} ranks, which {bins} bins do not part evenly: change either")
    if simulations < 5 * bins:
        raise UsageError(f"{simulations} simulations over {bins} bins: make at least {5 * bins}, 5 to each")
    numbers = torch.arange(simulations)
    with torch.no_grad(), evaluating(model):
        parts = [_ranks(model, len(numbers[rows]), draws, at_rows(given, rows)) for rows in row_slices(numbers, ROWS)]
    return {name: Calibration(torch.cat([part[name] for part in parts]), draws, bins) for name in parts[0]}


def _ranks(model: VAE, n: int, draws: int, given: Context) -> dict[str, Tensor]:
    generation = model.sample(n, given)
    inferred = model.posterior(generation.draw(), draws, given)
    return {name: _rank(generation.latent(name), draw.value).cpu() for name, draw in inferred.items()}


def _rank(truth: Tensor, drawn: Tensor) -> Tensor:
    """The rank of each truth `(n, *event)` among draws `(draws, n, *event)`, ties broken at random."""
    ties = (drawn == truth).sum(0)
    return (drawn < truth).sum(0) + (torch.rand_like(ties, dtype=torch.float32) * (ties + 1)).long()
