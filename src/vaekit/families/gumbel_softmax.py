"""Soft draws that stand for discrete ones while a gradient is asked for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core.density import Density
from vaekit.core.family import Family
from vaekit.core.notation import term
from vaekit.families.relaxation import Relaxation, Temperature
from vaekit.families.straight_through import NONE, Surrogate, carried


class SoftDraws(Surrogate):
    """A discrete distribution with soft draws while a gradient is asked for, and discrete ones where none is."""

    def __init__(self, relaxation: Relaxation, logits: Tensor, temperature: Tensor, hard: bool) -> None:
        self.relaxation, self.logits, self.temperature, self.hard = relaxation, logits, temperature, hard
        super().__init__(relaxation.family(logits))

    def expand(self, batch_shape: Size, _instance: None = None) -> SoftDraws:  # type: ignore[override]
        """The same distribution with its parameters broadcast."""
        logits = self.logits.expand(*batch_shape, *self.event_shape)
        return SoftDraws(self.relaxation, logits, self.temperature, self.hard)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) of discrete values; a soft draw is refused, as it has none."""
        if value.requires_grad and not self.hard:
            raise UsageError(
                "a soft draw has no probability under the classes it stands for: take straight-through draws, a "
                "Concrete posterior with a soft prior, or an objective whose KL has a closed form"
            )
        return super().log_prob(value)

    def rsample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Soft draws, or where `hard` the discrete ones nearest to them with their gradient."""
        if not torch.is_grad_enabled():
            return self.sample(sample_shape)
        logits = self.logits.expand(self._extended_shape(Size(sample_shape)))
        soft = self.relaxation.soften(self.relaxation.noisy(logits) / self.temperature)
        return carried(self.relaxation.harden(soft), soft) if self.hard else soft


class GumbelSoftmax(Family):
    """Classes or bits whose draws are soft, at a temperature, while a gradient is asked for.

    The KL of such a posterior is that of the classes, in closed form. With soft draws the ELBO of a training step is
    then **not a bound**; with `hard` ones (straight-through Gumbel-softmax) it is. Either way its gradient is biased,
    the less so the lower the temperature. Without a gradient, draws are discrete and exact. Parameters are the logits.

    Args:
        relaxation: `SoftClasses(axes)` or `SoftBits()`.
        temperature: a number, or a schedule over the steps of training.
        hard: whether draws are the discrete ones nearest to the soft ones.

    Source: Jang, Gu and Poole, 2017.

    >>> from vaekit.families import SoftClasses
    >>> posterior = GumbelSoftmax(SoftClasses(), temperature=0.5)(torch.zeros(1, 5, 3, requires_grad=True))
    >>> posterior.rsample().sum(-1).allclose(torch.ones(1, 5)), posterior.sample().max() == 1
    (True, tensor(True))
    """

    biased = True

    def __init__(
        self, relaxation: Relaxation, temperature: float | Callable[[Tensor], Tensor] = 1.0, hard: bool = False
    ) -> None:
        super().__init__()
        self.relaxation = relaxation
        self.over_vectors = relaxation.family.over_vectors
        self.temperature = Temperature(temperature)
        self.hard = hard

    def width(self, event_shape: Size) -> int:
        return self.relaxation.family.width(event_shape)

    def forward(self, params: Tensor) -> Distribution:
        return SoftDraws(self.relaxation, params, self.temperature(), self.hard)

    def written(self, reads: str) -> str:
        draws = "straight-through Gumbel-softmax" if self.hard else "Gumbel-softmax"
        return f"{term(self.relaxation.family, reads)}, {draws} at {self.temperature.words}"

    @property
    def support(self) -> Constraint:
        return self.relaxation.family.support

    def density(self, x: Tensor) -> Density:
        return self.relaxation.family.density(x)

    def extra_repr(self) -> str:
        return f"hard={self.hard}"
