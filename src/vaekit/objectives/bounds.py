"""Bounds: functions of the log-weights of many draws, from the mean of their logarithms to the log of their mean."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core.notation import words_of

_NEAR_0 = 0.01
"""The size of a power below which what is divided by it takes care of its digits."""


class Bound(ABC):
    r"""A number for each example from the log-weights :math:`\log w_k` of its draws, with its derivatives.

    Log-weights and derivatives are `(sample, batch)`. Adding c to every log-weight adds c to the bound, so the slopes
    of an example add up to 1.
    """

    samples: int
    """How many draws it takes."""
    is_bound: bool
    """Whether it is a lower bound of log p(x), in expectation."""
    is_mean: bool
    """Whether it is the plain mean of the log-weights: the ELBO."""

    @abstractmethod
    def __call__(self, log_weight: Tensor) -> Tensor:
        """The bound, `(batch,)`."""

    @abstractmethod
    def slope(self, log_weight: Tensor) -> Tensor:
        r"""Its derivative by each log-weight, :math:`s_k = \partial L / \partial \log w_k`."""

    @abstractmethod
    def path_slope(self, log_weight: Tensor) -> Tensor:
        r"""What is left of the slope along the path of a draw, :math:`s_k - \partial s_k / \partial \log w_k`.

        The rest of it cancels in expectation against the derivative of log q by its own parameters.
        """


@dataclass(frozen=True)
class PowerMean(Bound):
    r"""The logarithm of a power mean of K weights, averaged over M groups of them.

    .. math:: \frac{1}{M} \sum_{m=1}^{M} \frac{1}{p} \log \frac{1}{K} \sum_{k=1}^{K} w_{mk}^p

    A power of 1 is the importance-weighted bound, of 0 the ELBO: the mean of the logarithms. Raises `UsageError` for
    no draws and no groups.

    >>> log_weight = torch.tensor([0.0, 1.0, 2.0, 6.0]).log1p().unsqueeze(1)
    >>> round(float(PowerMean(samples=4)(log_weight).exp()), 4)  # the mean of 1, 2, 3 and 7
    3.25
    """

    samples: int
    groups: int = 1
    power: float = 1.0

    def __post_init__(self) -> None:
        if self.groups < 1 or self.samples < self.groups or self.samples % self.groups:
            raise UsageError(
                f"{self.samples} samples in {self.groups} groups: take at least 1 of each, and as many in every group"
            )
        if not math.isfinite(self.power):
            raise UsageError(f"a power of {self.power}: it must be a finite number")

    @property
    def is_bound(self) -> bool:  # type: ignore[override]
        """Up to a power of 1 it is no larger than the logarithm of the mean weight."""
        return self.power <= 1

    @property
    def is_mean(self) -> bool:  # type: ignore[override]
        """With a power of 0, or one draw to a group."""
        return not self.power or self.samples == self.groups

    def __call__(self, log_weight: Tensor) -> Tensor:
        if not self.power:
            return log_weight.mean(0)
        if abs(self.power) < _NEAR_0:
            return self._near_0(log_weight.unflatten(0, (self.groups, -1))).mean(0)
        in_groups = (self.power * log_weight).unflatten(0, (self.groups, -1))
        log_means: Tensor = in_groups.logsumexp(1) - math.log(in_groups.shape[1])
        return log_means.mean(0) / self.power

    def _near_0(self, in_groups: Tensor) -> Tensor:
        """The same of each group without its mean, which is most of it, so that a small power divides no rounding."""
        mean = in_groups.mean(1, keepdim=True)
        beside = self.power * (in_groups - mean)
        small = torch.log1p(torch.expm1(beside.clamp(-1, 1)).mean(1))
        large = beside.logsumexp(1) - math.log(beside.shape[1])
        return mean.squeeze(1) + torch.where(beside.abs().amax(1) < 1, small, large) / self.power

    def slope(self, log_weight: Tensor) -> Tensor:
        in_groups = (self.power * log_weight).unflatten(0, (self.groups, -1))
        slope: Tensor = in_groups.softmax(1).flatten(0, 1) / self.groups
        return slope

    def path_slope(self, log_weight: Tensor) -> Tensor:
        slope = self.slope(log_weight)
        return (1 - self.power) * slope + self.power * self.groups * slope.square()

    @property
    def words(self) -> str:
        """The bound in the weights wₖ of its draws."""
        draws = self.samples // self.groups
        if not self.power or draws == 1:
            return "E_q[log wₖ]"
        plain = self.power == 1
        mean = f"log(1/{draws} Σₖ wₖ{'' if plain else f'^{self.power:g}'})"
        one = mean if plain else f"1/{self.power:g} {mean}"
        return f"E_q[{one}]" if self.groups == 1 else f"1/{self.groups} Σₘ E_q[{one}]"


@dataclass(frozen=True)
class Blend(Bound):
    """Of two bounds from the same draws: `share` of the first and the rest of the second.

    Raises `UsageError` for a share outside [0, 1] and bounds of unlike numbers of draws.
    """

    share: float
    first: Bound
    second: Bound

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UsageError(f"a share of {self.share}: choose one within [0, 1]")
        if self.first.samples != self.second.samples:
            raise UsageError(
                f"bounds of {self.first.samples} and {self.second.samples} samples: blend bounds of the same draws"
            )

    @property
    def samples(self) -> int:  # type: ignore[override]
        """How many draws it takes."""
        return self.first.samples

    @property
    def is_bound(self) -> bool:  # type: ignore[override]
        """Whether both are lower bounds."""
        return self.first.is_bound and self.second.is_bound

    @property
    def is_mean(self) -> bool:  # type: ignore[override]
        """Whether both are."""
        return self.first.is_mean and self.second.is_mean

    def __call__(self, log_weight: Tensor) -> Tensor:
        return torch.lerp(self.second(log_weight), self.first(log_weight), self.share)

    def slope(self, log_weight: Tensor) -> Tensor:
        return torch.lerp(self.second.slope(log_weight), self.first.slope(log_weight), self.share)

    def path_slope(self, log_weight: Tensor) -> Tensor:
        return torch.lerp(self.second.path_slope(log_weight), self.first.path_slope(log_weight), self.share)

    @property
    def words(self) -> str:
        """Both bounds with their shares."""
        return f"{self.share:g} {words_of(self.first)} + {1 - self.share:g} {words_of(self.second)}"
