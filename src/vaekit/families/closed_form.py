"""KL divergences in closed form, made known to `torch.distributions.kl_divergence`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from torch import Tensor
from torch.distributions import Distribution, register_kl

Divergence = TypeVar("Divergence", bound=Callable[..., Tensor])


def kl_of(p: type[Distribution], q: type[Distribution]) -> Callable[[Divergence], Divergence]:
    """Register a function of two distributions, of these classes or their subclasses, as their KL divergence."""
    return cast("Callable[[Divergence], Divergence]", register_kl(p, q))
