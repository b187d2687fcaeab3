"""Conditionals: p(. | given), the one object that encoders, decoders, priors and ladder levels all are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint

from vaekit.core.context import Context, apply_folded, read
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import Formula, fixed_law, subject, term


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
        self.net_dtype: torch.dtype | None = None

    def forward(self, context: Context) -> Tensor:
        """The value, `(sample or 1, batch, *event)`."""
        inputs = read(context, self.given)
        if self.net_dtype is None:
            return apply_folded(self.net, inputs)
        with torch.autocast(inputs[0].device.type, self.net_dtype):
            return apply_folded(self.net, inputs).to(inputs[0].dtype)

    def formula(self, name: str) -> Formula:
        return Formula(name, "=", term(self.net, ", ".join(self.given), otherwise="net"))

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

    def formula(self, name: str) -> Formula:
        return Formula(subject(name, self.given), "~", term(self.family, ", ".join(self.given)))

    @property
    def support(self) -> Constraint:
        """The values this conditional can explain."""
        return self.family.support

    def density(self, x: Tensor) -> Density:
        """What its `log_prob` is a density of, for data like `x`."""
        return self.family.density(x)


class Settled(Conditional):
    """A distribution that reads nothing and learns nothing, on whatever device the model is.

    `make` makes it, the tensors are its parameters.
    """

    def __init__(self, make: Callable[..., Distribution], **params: Tensor) -> None:
        super().__init__()
        self.make = make
        self.names = tuple(params)
        for name, value in params.items():
            self.register_buffer(name, value, persistent=False)

    def made(self) -> Distribution:
        """What `make` makes of the parameters."""
        return self.make(**{name: getattr(self, name) for name in self.names}, validate_args=False)

    def formula(self, name: str) -> Formula:
        return Formula(name, "~", fixed_law(self.make, {param: getattr(self, param) for param in self.names}))

    def extra_repr(self) -> str:
        return f"{getattr(self.make, '__name__', self.make)}, {tuple(getattr(self, self.names[0]).shape)}"


class Fixed(Settled):
    """A settled distribution of independent coordinates.

    `make` is a distribution of independent coordinates, the tensors are its parameters, `(*event)` each.

    >>> import torch
    >>> prior = Fixed(torch.distributions.Laplace, loc=torch.zeros(2), scale=torch.ones(2))
    >>> float(prior({}).log_prob(torch.zeros(2)).exp())  # (1/2)^2
    0.25
    """

    def forward(self, context: Context) -> Distribution:
        distribution = self.made()
        return Independent(distribution, len(distribution.batch_shape), validate_args=False)
