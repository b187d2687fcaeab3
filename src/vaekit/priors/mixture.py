"""Mixtures: a distribution of several components, and the prior that learns one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Categorical, Distribution
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.conditional import Conditional
from vaekit.core.context import Context
from vaekit.core.family import Family
from vaekit.core.notation import Formula, Symbol, term
from vaekit.families import Normal
from vaekit.flows.distribution import Shape
from vaekit.priors.normals import ONE, held_against
from vaekit.priors.standard import EventShape, event_of_prior

At = Callable[[Tensor], Distribution]
"""From the numbers of components, `(sample, batch)`, to a distribution with that batch shape."""
SPREAD = 0.5
"""How far apart the components of a learned mixture start."""


class Mixture(Distribution):
    r"""A mixture of K components, :math:`p(z) = \sum_k w_k \, p_k(z)`.

    Only the components that are drawn are asked for draws, so that any kind of distribution can be one.

    Args:
        log_weights: log w, normalised, `(K,)`.
        at: the components by their numbers.
        each: all components, with batch shape `(batch or 1, K)`; `at` of all numbers if not given.
        lead: batch shape of the mixture.

    >>> pair = torch.tensor([-1.0, 1.0])
    >>> at = lambda k: torch.distributions.Normal(pair[k], 1.0)
    >>> Mixture(torch.tensor([0.5, 0.5]).log(), at).mean
    tensor([[0.]])
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = False

    def __init__(self, log_weights: Tensor, at: At, each: Distribution | None = None, lead: Size = ONE) -> None:
        self.log_weights, self.at = log_weights, at
        numbers = torch.arange(len(log_weights), device=log_weights.device)
        self.each = at(numbers.unsqueeze(0)) if each is None else each
        super().__init__(lead, self.each.event_shape, validate_args=False)

    @property
    def support(self) -> Constraint | None:
        """The support of the components."""
        return self.each.support

    def expand(self, batch_shape: Shape, _instance: None = None) -> Mixture:
        """The same mixture, more of them."""
        return Mixture(self.log_weights, self.at, self.each, Size(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of the weighted sum of densities, `(sample, batch)`."""
        return self._of_each(value).logsumexp(-1)

    def responsibilities(self, value: Tensor) -> Tensor:
        """p(k | value): the probability of each component, `(sample, batch, K)`."""
        return self._of_each(value).softmax(-1)

    def _of_each(self, value: Tensor) -> Tensor:
        return self.log_weights + held_against(self.each, value)

    def sample(self, sample_shape: Size = Size()) -> Tensor:  # type: ignore[override]  # noqa: B008
        """A component for each draw, then a draw of it."""
        lead = Size((*sample_shape, *self.batch_shape))
        with torch.no_grad():
            number = Categorical(logits=self.log_weights, validate_args=False).sample(lead)
            drawn: Tensor = self.at(number.reshape(-1, lead[-1])).sample()
        return drawn.reshape(lead + self.event_shape)

    @property
    def mean(self) -> Tensor:
        """The weighted mean of the components' means."""
        return self._average(self.each.mean)

    @property
    def variance(self) -> Tensor:
        """The mean of the components' variances, and the variance of their means."""
        mean = self.each.mean
        return self._average(self.each.variance + mean.square()) - self._average(mean).square()

    def _average(self, of_each: Tensor) -> Tensor:
        axes = len(self.event_shape)
        weights = self.log_weights.exp().reshape(-1, *[1] * axes)
        return (weights * of_each).sum(-1 - axes).expand(self.batch_shape + self.event_shape)


class LearnedMixture(Conditional):
    r"""A mixture of K members of a family, :math:`p(z) = \sum_k w_k \, family(z; \theta_k)`, all of it learned.

    Args:
        event_shape: shape of the latent.
        components: K.
        family: of the components; independent normals if not given.

    Raises `UsageError` for an empty shape, no components, or a shape that the family refuses.

    >>> prior = LearnedMixture(2, components=5)
    >>> prior({}).log_prob(torch.zeros(4, 3, 2)).shape
    torch.Size([4, 3])
    """

    def __init__(self, event_shape: EventShape, components: int = 10, family: Family | None = None) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"a mixture of {components} components: it needs at least 1")
        self.family = Normal() if family is None else family
        shape = self.family.params_shape(event_of_prior(event_shape))
        self.params = nn.Parameter(SPREAD * torch.randn(components, *shape))
        self.logits = nn.Parameter(torch.zeros(components))

    def forward(self, context: Context) -> Mixture:
        return Mixture(self.logits.log_softmax(-1), self._at)

    def _at(self, number: Tensor) -> Distribution:
        distribution: Distribution = self.family(self.params[number])
        return distribution

    def extra_repr(self) -> str:
        return f"components={len(self.logits)}, parameters={tuple(self.params.shape[1:])}"

    def formula(self, name: str) -> Formula:
        weights = Symbol("wₖ", "weights of the components, learned as they are", tuple(self.logits.shape))
        return Formula(name, "~", f"Σₖ wₖ {term(self.family, 'k')}", symbols=(weights,))
