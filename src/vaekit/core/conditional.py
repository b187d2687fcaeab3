"""Conditionals: p(. | given), the one object that encoders, decoders, priors and ladder levels all are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint

from vaekit.core.context import Context, apply_folded, read
from vaekit.core.density import Density
from vaekit.core.family import Family


class Conditional(nn.Module, ABC):
    """p(. | given): reads named values of the context and answers with a distribution.

    `given` names what is read; a model orders its parts by it. The distribution's `log_prob` is `(sample, batch)`
    or broadcasts to it.
    """

    given: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, context: Context) -> Distribution:
        """The distribution, given what the context holds."""


@runtime_checkable
class Explains(Protocol):
    """A likelihood that says which values it can explain, and what its density is one of."""

    @property
    def support(self) -> Constraint:
        """The values it can explain."""

    def density(self, x: Tensor) -> Density:
        """What its `log_prob` is a density of, for data like `x`."""


class Deterministic(nn.Module):
    """A named value computed once and read by many: h = net(given).

    In a model it is a node like a latent. One that reads `x`, directly or through others, belongs to inference
    alone and is never run to generate.
    """

    def __init__(self, net: nn.Module, given: str | Sequence[str]) -> None:
        super().__init__()
        self.net = net
        self.given = (given,) if isinstance(given, str) else tuple(given)

    def forward(self, context: Context) -> Tensor:
        """The value, `(sample or 1, batch, *event)`."""
        return apply_folded(self.net, read(context, self.given))

    def extra_repr(self) -> str:
        return f"given={', '.join(self.given)}"


class Parametric(Conditional):
    """family(net(given)): a network followed by a family of distributions.

    >>> import torch
    >>> from vaekit.families import Normal
    >>> encoder = Parametric(nn.Linear(784, 40), Normal(), given="x")
    >>> posterior = encoder({"x": torch.zeros(1, 5, 784)})
    >>> posterior.batch_shape, posterior.event_shape
    (torch.Size([1, 5]), torch.Size([20]))
    """

    def __init__(self, net: nn.Module, family: Family, given: str | Sequence[str]) -> None:
        super().__init__()
        self.params = Deterministic(net, given)
        self.family = family
        self.given = self.params.given

    def forward(self, context: Context) -> Distribution:
        distribution: Distribution = self.family(self.params(context))
        return distribution

    @property
    def support(self) -> Constraint:
        """The values this conditional can explain."""
        return self.family.support

    def density(self, x: Tensor) -> Density:
        """What its `log_prob` is a density of, for data like `x`."""
        return self.family.density(x)


class Fixed(Conditional):
    """A distribution that reads nothing and learns nothing, on whatever device the model is.

    `make` is a distribution of independent coordinates, the tensors are its parameters, `(*event)` each.

    >>> import torch
    >>> prior = Fixed(torch.distributions.Laplace, loc=torch.zeros(2), scale=torch.ones(2))
    >>> float(prior({}).log_prob(torch.zeros(2)).exp())  # (1/2)^2
    0.25
    """

    def __init__(self, make: Callable[..., Distribution], **params: Tensor) -> None:
        super().__init__()
        self.make = make
        self.names = tuple(params)
        for name, value in params.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, context: Context) -> Distribution:
        distribution = self.make(**{name: getattr(self, name) for name in self.names}, validate_args=False)
        return Independent(distribution, len(distribution.batch_shape), validate_args=False)

    def extra_repr(self) -> str:
        return f"{getattr(self.make, '__name__', self.make)}, event={tuple(getattr(self, self.names[0]).shape)}"
