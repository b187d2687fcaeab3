"""The distribution of a flow: a base pushed through a bijection."""

from __future__ import annotations

from functools import cache, singledispatch
from typing import ClassVar, cast

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, Transform, constraints
from torch.distributions.constraints import Constraint

from vaekit.common.shapes import broadcast

Shape = Size | list[int] | tuple[int, ...]
PAIRS = 128
"""Pairs of opposite base points that a mean is taken over."""


class FlowDistribution(Distribution):
    r"""A base distribution of e seen through an invertible map z -> e.

    .. math:: \log p(z) = \log p_{base}(f(z)) + \log |\det \partial f / \partial z|

    Of an event with several axes the map sees the vector of its values.

    >>> from vaekit.core import over_event
    >>> halved = torch.distributions.AffineTransform(0.0, 2.0, event_dim=1)
    >>> base = over_event(Normal(torch.zeros(1, 1, 2), torch.ones(1, 1, 2)))
    >>> flow = FlowDistribution(base, halved)  # 2 z is standard normal
    >>> z, log_prob = flow.rsample_and_log_prob()
    >>> torch.testing.assert_close(log_prob, flow.log_prob(z))
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, base: Distribution, to_base: Transform) -> None:
        self.base, self.to_base = base, to_base
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Draws have a pathwise gradient where the base's have one."""
        return self.base.has_rsample

    @property
    def support(self) -> Constraint:
        """All real events."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: Shape, _instance: None = None) -> FlowDistribution:
        """The same distribution, more of them."""
        return FlowDistribution(self.base.expand(Size(batch_shape)), self.to_base)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), of a value with any leading shape that broadcasts with the batch's."""
        vectors = self._vector(value)
        lead = broadcast(vectors.shape[:-1], self.batch_shape)
        e, log_det = with_log_det(self.to_base, vectors.expand(*lead, -1))
        return self.base.log_prob(self._event(e)) + log_det

    def rsample_and_log_prob(self, shape: Size = Size()) -> tuple[Tensor, Tensor]:  # noqa: B008
        """Draws and their log-density, without inverting the map once more."""
        e = self._base_draws(shape)
        z, log_det = with_log_det(self.to_base.inv, self._vector(e))
        return self._event(z), self.base.log_prob(e) - log_det

    def rsample(self, sample_shape: Size = Size()) -> Tensor:  # type: ignore[override]  # noqa: B008
        """Draws, with a pathwise gradient where the base has one."""
        return self._through(self._base_draws(sample_shape))

    def sample(self, sample_shape: Size = Size()) -> Tensor:  # type: ignore[override]  # noqa: B008
        """Draws without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    @property
    def mean(self) -> Tensor:
        """The mean, over fixed points of the base: the same at every call, off by about 0.1 % of the spread.

        Exact where the map is affine. The base has to be a normal distribution.
        """
        like = self.base.mean
        noise = standard_points(self.event_shape.numel()).to(like, copy=True).unflatten(-1, self.event_shape)
        noise = noise.reshape(-1, *[1] * len(self.batch_shape), *self.event_shape)
        return self._through(of_noise(self.base, noise)).mean(0)

    def _base_draws(self, shape: Size) -> Tensor:
        draws: Tensor = self.base.rsample(shape) if self.base.has_rsample else self.base.sample(shape)
        return draws

    def _through(self, e: Tensor) -> Tensor:
        return self._event(cast(Tensor, self.to_base.inv(self._vector(e))))

    def _vector(self, event: Tensor) -> Tensor:
        return event.flatten(-len(self.event_shape))

    def _event(self, vector: Tensor) -> Tensor:
        event: Tensor = vector.unflatten(-1, self.event_shape)
        return event


def with_log_det(transform: Transform, value: Tensor) -> tuple[Tensor, Tensor]:
    """What a transform makes of a value, and its log |det|; zuko gives every transform this in one pass."""
    pair: tuple[Tensor, Tensor] = transform.call_and_ladj(value)  # type: ignore[attr-defined]
    return pair


@cache
def standard_points(dimensions: int, pairs: int = PAIRS) -> Tensor:
    """Evenly spread points of a standard normal and their opposites, `(2 * pairs, dimensions)`, always the same."""
    engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=0)
    half = torch.special.ndtri(engine.draw(pairs, dtype=torch.float64).clamp(min=2**-30))
    return torch.cat([half, -half])


@singledispatch
def of_noise(base: Distribution, noise: Tensor) -> Tensor:
    """The base's values at standard normal noise `(n, ..., *event)`."""
    raise NotImplementedError(f"the mean of a flow over {type(base).__name__} is not known; over a normal base it is")


@of_noise.register
def _(base: Independent, noise: Tensor) -> Tensor:  # type: ignore[type-arg]
    return of_noise(base.base_dist, noise)


@of_noise.register
def _(base: Normal, noise: Tensor) -> Tensor:
    return base.loc + base.scale * noise


@of_noise.register
def _(base: MultivariateNormal, noise: Tensor) -> Tensor:
    spread: Tensor = base.scale_tril @ noise.unsqueeze(-1)
    return base.loc + spread.squeeze(-1)
