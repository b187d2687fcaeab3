"""Peaks: columns whose values pile up around several places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, Normal

from vaekit.families.columns.cells import NumberCells
from vaekit.families.columns.marginal import Marginal
from vaekit.families.scalars import NO_SHAPE, Shape
from vaekit.families.scale import positive

NARROWEST = 0.01
"""The least deviation of a peak, in units of the column's own."""


class Peaks(MixtureSameFamily):
    """Independent mixtures of normals, drawn by the greatest of perturbed logits."""

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        """A draw of each, without a gradient."""
        with torch.no_grad():
            logits = self.mixture_distribution.logits.expand(Size((*sample_shape, *self._peaks.batch_shape)))
            gumbel = -torch.empty_like(logits).exponential_().log()
            chosen = (logits + gumbel).argmax(-1, keepdim=True)
            normal: Tensor = self._peaks.mean + self._peaks.stddev * torch.randn_like(logits)
            return normal.gather(-1, chosen).squeeze(-1)

    @property
    def _peaks(self) -> Normal:
        assert isinstance(self.component_distribution, Normal)
        return self.component_distribution

    @property
    def mode(self) -> Tensor:
        """The mean of the peak that is highest."""
        height = self.mixture_distribution.logits - self._peaks.stddev.log()
        return self._peaks.mean.gather(-1, height.argmax(-1, keepdim=True)).squeeze(-1)


class Places(nn.Module):
    """Where the peaks of columns are: their log-shares, means and deviations, `(columns, peaks)` each."""

    log_shares: Tensor
    means: Tensor
    deviations: Tensor
    unit: Tensor

    def __init__(self, marginals: Sequence[Marginal]) -> None:
        super().__init__()
        shares, means, deviations = torch.tensor([marginal.start for marginal in marginals]).chunk(3, -1)
        middle, unit = torch.tensor([marginal.shape for marginal in marginals]).split(1, -1)
        found = {"log_shares": shares.log(), "means": middle + unit * means, "deviations": unit * deviations}
        for name, value in {**found, "unit": unit}.items():
            self.register_buffer(name, value, persistent=False)


def peaks_of(places: Places, narrowing: Tensor, params: Tensor) -> NumberCells[Peaks]:
    """The cells: for each column the net says how much each peak weighs, and how far all of them are moved."""
    columns, peaks = places.means.shape
    gates, moved = params.split([columns * peaks, columns], -1)
    logits = gates.unflatten(-1, (columns, peaks)) + places.log_shares
    deviations = places.deviations * positive(narrowing) + NARROWEST * places.unit
    means = places.means + moved.unsqueeze(-1) * deviations
    normals = Normal(means, deviations.expand_as(means), validate_args=False)
    return NumberCells(Peaks(Categorical(logits=logits, validate_args=False), normals, validate_args=False))
