"""Priors over codes, and the one by which all codes are alike."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaekit.core.conditional import Conditional
from vaekit.core.context import Context
from vaekit.core.notation import Formula, density
from vaekit.families.codes import Codes, OnCodes, require_dimensions
from vaekit.priors.standard import EventShape, event_of_prior

NONE, ONE = Size(), Size((1, 1))
SEQUENCES_AT_ONCE = 1024
"""How many sequences are judged or drawn at once where no gradient is asked for."""


class Sequences(ABC):
    """A law of sequences of digits, `(n, length)`, each of which is below `codes`."""

    @abstractmethod
    def log_prob(self, indices: Tensor) -> Tensor:
        """Their log-probabilities, `(n,)`."""

    @abstractmethod
    def draw(self, n: int, device: torch.device) -> Tensor:
        """Drawn ones."""


class OverCodes(Distribution):
    """A distribution over events of codes, `(D, *positions)`, from a law of the sequences of their digits.

    The digits are taken position by position. A value is taken for the codes nearest to it.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = False

    def __init__(self, law: Sequences, codes: Codes, event_shape: Size, like: Tensor, lead: Size = ONE) -> None:
        self.law, self.codes, self.like = law, codes, like
        super().__init__(lead, event_shape, validate_args=False)

    @property
    def support(self) -> Constraint:
        """The codes."""
        return OnCodes(self.codes, len(self.event_shape))

    def expand(self, batch_shape: Size, _instance: None = None) -> OverCodes:  # type: ignore[override]
        """The same distribution, more of them."""
        return OverCodes(self.law, self.codes, self.event_shape, self.like, Size(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability of the codes, `(sample, batch)`."""
        vectors = value.detach().movedim(-len(self.event_shape), -1)
        lead = value.shape[: value.dim() - len(self.event_shape)]
        indices = self.codes.indices(vectors).reshape(lead.numel(), -1)
        if torch.is_grad_enabled():
            return self.law.log_prob(indices).reshape(lead)
        return torch.cat([self.law.log_prob(part) for part in indices.split(SEQUENCES_AT_ONCE)]).reshape(lead)

    def sample(self, sample_shape: Size = NONE) -> Tensor:  # type: ignore[override]
        """Codes, without a gradient."""
        lead = Size((*sample_shape, *self.batch_shape))
        starts = range(0, lead.numel(), SEQUENCES_AT_ONCE)
        sizes = [min(SEQUENCES_AT_ONCE, lead.numel() - start) for start in starts]
        with torch.no_grad():
            indices = torch.cat([self.law.draw(size, self.like.device) for size in sizes])
            places = indices.reshape(*lead, *self.event_shape[1:], -1)
            return self.codes.vectors(places).movedim(-1, len(lead)).to(self.like.dtype)


class Alike(Sequences):
    """Every digit of every sequence with the same probability."""

    def __init__(self, codes: int, length: int, like: Tensor) -> None:
        self.codes, self.length, self.like = codes, length, like

    def log_prob(self, indices: Tensor) -> Tensor:
        return self.like.new_full((len(indices),), -self.length * math.log(self.codes))

    def draw(self, n: int, device: torch.device) -> Tensor:
        return torch.randint(self.codes, (n, self.length), device=device)


class OfCodes(Conditional, ABC):
    """A prior over events of codes. It refers to them, but does not own them: they are trained with the posterior.

    Raises `UsageError` for an event whose first axis is not as long as the codes.
    """

    like: Tensor

    def __init__(self, codes: Codes, event_shape: EventShape) -> None:
        super().__init__()
        self.event_shape = event_of_prior(event_shape)
        require_dimensions(codes, self.event_shape)
        self._codes = (codes,)
        self.register_buffer("like", torch.zeros(()), persistent=False)

    @property
    def codes(self) -> Codes:
        """The codes."""
        return self._codes[0]

    @property
    def length(self) -> int:
        """How many digits tell an event."""
        return self.event_shape[1:].numel() * self.codes.digits

    @abstractmethod
    def law(self) -> Sequences:
        """The law of the digits."""

    def forward(self, context: Context) -> Distribution:
        return OverCodes(self.law(), self.codes, self.event_shape, self.like)

    def extra_repr(self) -> str:
        return f"codes={self.codes.codes}, digits={self.length}, event={tuple(self.event_shape)}"


class UniformCodes(OfCodes):
    r"""All codes alike: :math:`p(z) = K^{-n}` for n digits of base K, so that the KL of a sure posterior is n log K.

    >>> from vaekit.families.codes import Classes
    >>> prior = UniformCodes(Classes(10), (10, 20))
    >>> float(prior({}).log_prob(prior({}).sample()))  # -20 log 10
    -46.05...
    """

    def law(self) -> Sequences:
        return Alike(self.codes.codes, self.length, self.like)

    def formula(self, name: str) -> Formula:
        return Formula(density("p", name, ()), "=", f"{self.codes.codes}^(−{self.length})")
