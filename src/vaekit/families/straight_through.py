"""Discrete draws with a gradient that is not quite theirs: that of their probabilities.

What the three ways to a gradient for discrete latents are worth:

- `StraightThrough`: the draws are discrete, so that every value is what it is called; the gradient is biased.
- `GumbelSoftmax`: while a gradient is asked for, draws are soft and stand for discrete ones. The KL is that of the
  classes, the reconstruction that of soft draws: their difference is **not a bound**, and its gradient is biased. Where
  no gradient is asked for (evaluation), draws are discrete, and the numbers are what they are called.
- `Concrete`: the soft draws are the latent, with a density of their own and a soft prior. The ELBO is a bound, of the
  soft model's log p(x).

An unbiased gradient for discrete draws is the objectives' matter: `objectives.score_function`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, kl_divergence
from torch.distributions.constraints import Constraint

from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import term
from vaekit.families.closed_form import kl_of

NONE = Size()


class Surrogate(Distribution, ABC):
    """A discrete distribution whose draws have a gradient that is not quite theirs.

    Everything but `rsample` is the discrete distribution's: its probabilities, its mean, its KL, its `sample`.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = True

    def __init__(self, exact: Distribution) -> None:
        self.exact = exact
        super().__init__(exact.batch_shape, exact.event_shape, validate_args=False)

    @property
    def support(self) -> Constraint | None:
        """That of the discrete distribution."""
        return self.exact.support

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self.exact.mean

    @property
    def variance(self) -> Tensor:
        """Of each coordinate."""
        return self.exact.variance

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Whether its values can be listed."""
        return self.exact.has_enumerate_support

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values."""
        return self.exact.enumerate_support(expand)

    def entropy(self) -> Tensor:
        """The entropy."""
        return self.exact.entropy()

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) of discrete values."""
        return self.exact.log_prob(value)

    def sample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Discrete draws."""
        return self.exact.sample(sample_shape)

    @abstractmethod
    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Draws with a gradient."""


@kl_of(Surrogate, Distribution)
def _kl_of_the_discrete(p: Surrogate, q: Distribution) -> Tensor:
    return torch.as_tensor(kl_divergence(p.exact, q))


class StraightThroughDistribution(Surrogate):
    """Discrete draws, with the gradient of the probabilities in the place of their own."""

    def expand(self, batch_shape: Size, _instance: None = None) -> StraightThroughDistribution:  # type: ignore[override]
        """The same distribution with its parameters broadcast."""
        return StraightThroughDistribution(self.exact.expand(batch_shape))

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """A discrete draw, plus a zero that has the gradient of the mean."""
        return carried(self.exact.sample(sample_shape), self.exact.mean)


def carried(value: Tensor, by: Tensor) -> Tensor:
    """A value, to the bit, with the gradient of another.

    >>> probability = torch.tensor(0.3, requires_grad=True)
    >>> carried(torch.tensor(1.0), probability).backward()
    >>> float(probability.grad)
    1.0
    """
    return value.detach() + (by - by.detach())


class StraightThrough(Family):
    """A discrete family whose draws pass the gradient on to their probabilities, as if they were these.

    Every value is that of discrete draws, so the ELBO is a bound; its gradient is biased. Parameters and errors are
    those of the family.

    Source: Bengio, Leonard and Courville, 2013.

    >>> from vaekit.families import Bernoulli
    >>> posterior = StraightThrough(Bernoulli())(torch.zeros(1, 5, 3))
    >>> bool(posterior.support.check(posterior.rsample()).all()), posterior.has_rsample
    (True, True)
    """

    biased = True

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family
        self.over_vectors = family.over_vectors

    def width(self, event_shape: Size) -> int:
        return self.family.width(event_shape)

    def forward(self, params: Tensor) -> Distribution:
        return wrapped(StraightThroughDistribution, self.family(params))

    def written(self, reads: str) -> str:
        return f"{term(self.family, reads)}, straight-through"

    @property
    def support(self) -> Constraint:
        return self.family.support

    def density(self, x: Tensor) -> Density:
        return self.family.density(x)


def wrapped(surrogate: Callable[[Distribution], Distribution], exact: Distribution) -> Distribution:
    """The surrogate of a distribution; of independent coordinates, that of each of them."""
    if isinstance(exact, Independent):
        return Independent(surrogate(exact.base_dist), exact.reinterpreted_batch_ndims, validate_args=False)
    return surrogate(exact)
