"""Many normals held against many draws: what the mixtures of this room have in common."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Normal, constraints
from torch.distributions.constraints import Constraint

from vaekit.core.coordinates import coordinates
from vaekit.flows.distribution import Shape

DISTANCES_AT_ONCE = 2**22
"""How many distances between draws and normals are held at once where no gradient is asked for."""
ONE = Size((1, 1))


def log_densities(z: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    r"""The log-densities of K independent normals at draws z `(sample, batch, D)`, `(sample, batch, K)`.

    .. math:: \log N(z; \mu_k, \operatorname{diag} \sigma_k^2) =
        z^2 \cdot a_k + z \cdot b_k + c_k, \quad a_k = -1 / 2 \sigma_k^2, \quad b_k = \mu_k / \sigma_k^2

    Two matrix products, in place of a tensor of all differences D times as large; in float64, as they lose the digits
    that differences keep.

    Args:
        z: draws.
        means, scales: mu and sigma, `(K, D)`.

    >>> log_densities(torch.ones(1, 2, 3), torch.ones(5, 3), torch.ones(5, 3))[0, 0, 0]  # -3/2 log(2 pi)
    tensor(-2.7568)
    """
    wide_z, wide_means, wide_scales = _wide(z), _wide(means), _wide(scales)
    halves = -0.5 / wide_scales.square()
    slopes = -2 * wide_means * halves
    rest = (wide_means.square() * halves - wide_scales.log()).sum(-1) - means.shape[-1] * math.log(2 * math.pi) / 2
    return (wide_z.square() @ halves.T + wide_z @ slopes.T + rest).to(z)


def _wide(values: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return values if values.device.type == "mps" else values.double()


def held_against(each: Distribution, value: Tensor) -> Tensor:
    """log p_k(value) of all components `each`, of batch shape `(batch or 1, K)`: `(sample, batch, K)`."""
    normals = coordinates(each)
    if isinstance(normals, Normal) and each.batch_shape[0] == 1:
        z, means, scales = (part.flatten(2) for part in (value, normals.loc, normals.scale))
        return log_densities(z, means[0], scales[0])
    log_prob: Tensor = each.log_prob(value.unsqueeze(-1 - len(each.event_shape)))
    return log_prob


class NormalsAround(Distribution):
    r"""Independent normals around many means, summed over those that are visible and divided by a total.

    .. math:: p(z) = \frac{1}{N} \sum_n N(z; \mu_n, \operatorname{diag} \sigma_n^2)

    Args:
        means: `(M, *event)`.
        scales: standard deviations, `(M, *event)`, or one for all of them.
        visible: which means each example may see, `(batch, M)`; all, if not given.
        log_total: log of what the sum is divided by, `(batch,)`; of how many are visible, if not given.

    >>> pair = NormalsAround(torch.tensor([[-1.0], [1.0]]), torch.ones(()))
    >>> float(pair.log_prob(torch.zeros(1, 1, 1)))  # that of one normal, at a standard deviation from its mean
    -1.418938...
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = False

    def __init__(
        self,
        means: Tensor,
        scales: Tensor,
        visible: Tensor | None = None,
        log_total: Tensor | None = None,
        lead: Size = ONE,
    ) -> None:
        self.means, self.scales, self.visible, self.log_total = means, scales.expand_as(means), visible, log_total
        super().__init__(lead, means.shape[1:], validate_args=False)

    @property
    def support(self) -> Constraint:
        """All real events."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: Shape, _instance: None = None) -> NormalsAround:
        """The same mixture, more of them."""
        return NormalsAround(self.means, self.scales, self.visible, self.log_total, Size(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of the mean density, `(sample, batch)`."""
        z = value.flatten(2)
        whole = self._log_sum(z, slice(None)) if torch.is_grad_enabled() else self._in_parts(z)
        return whole - self._log_total()

    def _in_parts(self, z: Tensor) -> Tensor:
        """The same in a bounded memory."""
        step = max(1, DISTANCES_AT_ONCE // z[..., 0].numel())
        starts = range(0, len(self.means), step)
        return torch.stack([self._log_sum(z, slice(start, start + step)) for start in starts]).logsumexp(0)

    def _log_sum(self, z: Tensor, part: slice) -> Tensor:
        each = log_densities(z, self.means[part].flatten(1), self.scales[part].flatten(1))
        if self.visible is not None:
            each = each.masked_fill(~self.visible[:, part], -math.inf)
        return each.logsumexp(-1)

    def _log_total(self) -> Tensor | float:
        if self.log_total is not None:
            return self.log_total
        if self.visible is None:
            return math.log(len(self.means))
        return self.visible.sum(-1).to(self.means).log()

    def sample(self, sample_shape: Size = Size()) -> Tensor:  # type: ignore[override]  # noqa: B008
        """A mean for each draw, then a draw around it; with equal chances, whatever is visible."""
        with torch.no_grad():
            number = torch.randint(len(self.means), (*sample_shape, *self.batch_shape), device=self.means.device)
            return self.means[number] + self.scales[number] * torch.randn_like(self.means[number])

    @property
    def mean(self) -> Tensor:
        """The mean of the means."""
        return self.means.mean(0).expand(self.batch_shape + self.event_shape)
