"""Bijections: invertible maps of vectors, with parameters of their own or read off a context."""

from __future__ import annotations

from typing import cast

import torch
from torch import Size, Tensor, nn
from torch.distributions import AffineTransform, Transform

from vaekit.common.errors import UsageError
from vaekit.flows.zukoflows import zuko

SMALLEST = 1e-6
"""The least spread that points are divided by."""


class Bijection(nn.Module):
    """An invertible map of vectors z -> e, which may read a context vector.

    `make` is any module that answers `make(context or None)` with a `torch.distributions.Transform` of vectors, as
    zuko's lazy transforms do. A map learns how a latent looks to a simple base; its inverse is what draws run through.

    Args:
        make: the module that answers with the transform.
        features: length of the vectors.
        context: length of the context vector; 0 for a map that reads none.

    Raises `UsageError` for vectors of length 0, and for a context where none is read or the reverse.

    >>> from vaekit.flows import maf
    >>> to_base = maf(3)()
    >>> to_base(torch.zeros(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, make: nn.Module, features: int, context: int = 0) -> None:
        super().__init__()
        require_sizes(features, context)
        self.make = make
        self.features, self.context = features, context

    def forward(self, context: Tensor | None = None) -> Transform:
        """The transform of vectors `(sample, batch, features)`, given `(sample or 1, batch, context)`."""
        given = 0 if context is None else context.shape[-1]
        if given != self.context:
            raise UsageError(f"a bijection that reads a context of {self.context} values was given {given}")
        return cast(Transform, self.make(context))

    @property
    def inv(self) -> Bijection:
        """The inverse map, with the same parameters."""
        inner = self.make.inner if isinstance(self.make, Inverse) else Inverse(self.make)
        return Bijection(inner, self.features, self.context)

    def extra_repr(self) -> str:
        return f"features={self.features}, context={self.context}"


class Inverse(nn.Module):
    """Answers with the inverse of the transform that another module answers with."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, context: Tensor | None = None) -> Transform:
        """The inverse transform."""
        return cast(Transform, self.inner(context).inv)


class Standardise(nn.Module):
    """Answers with the map (z - loc) / scale, then that of another module; loc and scale are not learned."""

    loc: Tensor
    scale: Tensor

    def __init__(self, then: nn.Module, features: int) -> None:
        super().__init__()
        self.then = then
        self.register_buffer("loc", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def forward(self, context: Tensor | None = None) -> Transform:
        """The transform of both."""
        first = AffineTransform(self.loc, self.scale, event_dim=1).inv
        return cast(Transform, zuko.transforms.ComposedTransform(first, self.then(context)))


def standardised(bijection: Bijection) -> Bijection:
    """The bijection after a standardisation, whose location and scale are 0 and 1 until `set_standard`."""
    return Bijection(Standardise(bijection.make, bijection.features), bijection.features, bijection.context)


def set_standard(bijection: Bijection, points: Tensor) -> None:
    """Let a `standardised` bijection give points `(n, features)` mean 0 and spread 1 first."""
    assert isinstance(bijection.make, Standardise)
    bijection.make.loc.copy_(points.mean(0))
    bijection.make.scale.copy_(points.std(0).clamp(min=SMALLEST))


class Amortised(nn.Module):
    """Parameters that are read off a context by an affine map, or, without a context, learned as they are."""

    def __init__(self, width: int, context: int = 0, spread: float = 0.1) -> None:
        super().__init__()
        self.bias = nn.Parameter(spread * torch.randn(width))
        self.weight = nn.Parameter(spread * torch.randn(width, context)) if context else None

    def forward(self, context: Tensor | None) -> Tensor:
        """The parameters, `(..., width)`."""
        if self.weight is None or context is None:
            return self.bias
        return nn.functional.linear(context, self.weight, self.bias)


def require_sizes(features: int, context: int = 0) -> None:
    """Refuse a bijection of nothing."""
    if features < 1 or context < 0:
        sizes = f"{features} features, {context} of context"
        raise UsageError(f"a bijection of {sizes}: it needs at least 1 feature, and a context of 0 or more")


def features_of(event_shape: Size | tuple[int, ...] | int) -> int:
    """The number of coordinates of an event, which a bijection sees as one vector."""
    return event_shape if isinstance(event_shape, int) else Size(event_shape).numel()
