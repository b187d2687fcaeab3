"""Charts: the values of a support as points of a real vector space, where a gradient can move them freely."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, biject_to, constraints
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import Transform
from torch.nn.functional import normalize

from vaekit.families.sphere import Sphere, log_area
from vaekit.families.supports import OpenInterval


class Chart(ABC):
    """A map from free points u to the values z of a support; vectors lie along the last axis of both."""

    @abstractmethod
    def free(self, value: Tensor) -> Tensor:
        """Points that are mapped to these values."""

    @abstractmethod
    def value(self, free: Tensor) -> tuple[Tensor, Tensor]:
        """The values, and what is to be added to a log-density of z to make it one of u, in parts that are summed."""


class Bijective(Chart):
    """One point for each value; densities take its Jacobian.

    >>> value, log_det = Bijective(biject_to(constraints.positive)).value(torch.tensor([0.0, 1.0]))
    >>> value, log_det
    (tensor([1.0000, 2.7183]), tensor([0., 1.]))
    """

    def __init__(self, bijection: Transform) -> None:
        self.bijection = bijection

    def free(self, value: Tensor) -> Tensor:
        free: Tensor = self.bijection.inv(value)
        return free

    def value(self, free: Tensor) -> tuple[Tensor, Tensor]:
        value = self.bijection(free)
        return value, self.bijection.log_abs_det_jacobian(free, value)


class Radial(Chart):
    """Directions as vectors of any length: the length is drawn as that of a standard normal's, and carries nothing.

    >>> Radial().value(torch.tensor([3.0, 4.0]))[0]
    tensor([0.6000, 0.8000])
    """

    def free(self, value: Tensor) -> Tensor:
        length: Tensor = torch.randn_like(value).norm(dim=-1, keepdim=True)
        return value * length

    def value(self, free: Tensor) -> tuple[Tensor, Tensor]:
        length_density = Normal(0.0, 1.0).log_prob(free).sum(-1) + log_area(free.shape[-1])
        return normalize(free, dim=-1), length_density


class AlongFirst(Chart):
    """A chart for events whose vectors lie along their first axis, with positions after it."""

    def __init__(self, chart: Chart, positions: int) -> None:
        self.chart, self.axis = chart, -positions - 1

    def free(self, value: Tensor) -> Tensor:
        return self.chart.free(value.movedim(self.axis, -1)).movedim(-1, self.axis)

    def value(self, free: Tensor) -> tuple[Tensor, Tensor]:
        value, log_density = self.chart.value(free.movedim(self.axis, -1))
        return value.movedim(-1, self.axis), log_density


CHARTS: dict[type[Constraint], Callable[[Any], Chart]] = {
    Sphere: lambda support: Radial(),
    OpenInterval: lambda support: Bijective(biject_to(constraints.interval(support.lower_bound, support.upper_bound))),
}
"""Charts of the supports that torch knows no bijection of."""


def chart(distribution: Distribution, drawn: Tensor) -> Chart:
    """A chart of the values that a distribution draws, such as `drawn`, `(..., *event)`.

    Where a distribution does not say what its support is, all real values are taken for it: its density is then 0 where
    it has none. Raises `NotImplementedError` for a support that is discrete, or that no chart is known of.

    >>> chart(Normal(0.0, 1.0), torch.zeros(())).value(torch.tensor(2.0))[0]
    tensor(2.)
    """
    support = _support(distribution)
    if support.is_discrete:
        raise NotImplementedError
    known = CHARTS.get(type(support))
    last = known(support) if known else Bijective(biject_to(support))
    lies_along_last = support.event_dim == 0 or bool(support.check(drawn).double().mean() > 0.5)
    return last if lies_along_last else AlongFirst(last, positions=len(distribution.event_shape) - 1)


def _support(distribution: Distribution) -> Constraint:
    try:
        support: Any = distribution.support
    except NotImplementedError:
        support = None
    while hasattr(support, "base_constraint"):  # of independent coordinates, and of mixtures
        support = support.base_constraint
    return constraints.real if support is None else support
