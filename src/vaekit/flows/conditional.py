"""Flows as conditionals: priors that learn their shape, and posteriors that are not normal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.common.errors import UsageError
from vaekit.common.shapes import broadcast
from vaekit.core.conditional import Conditional, Deterministic
from vaekit.core.context import LEAD, Context
from vaekit.core.notation import Formula, Symbol, formula_of
from vaekit.flows.bijection import Bijection
from vaekit.flows.distribution import FlowDistribution


class Flow(Conditional):
    r"""p(z | given): a base conditional through a bijection, :math:`z = f^{-1}(e), e \sim p_{base}`.

    The same object is a prior and a posterior: over a standard normal, with nothing given, it learns a prior; over an
    encoder, with what the encoder read or made, it bends the posterior.

    Args:
        base: p(e | ...), whose events the bijection maps.
        bijection: the map from z to e.
        given: what the bijection reads, by name; vectors are joined end to end.
        net: from what is given to the bijection's context, where that is not read as it is.

    Raises `UsageError` if the bijection's size is not the event's, or if it reads a context and none is given.

    >>> from vaekit.flows import maf
    >>> from vaekit.priors import standard_normal
    >>> prior = Flow(standard_normal(2), maf(2))
    >>> prior({}).log_prob(torch.zeros(4, 5, 2)).shape
    torch.Size([4, 5])
    """

    def __init__(
        self, base: Conditional, bijection: Bijection, given: str | Sequence[str] = (), net: nn.Module | None = None
    ) -> None:
        super().__init__()
        names = (given,) if isinstance(given, str) else tuple(given)
        if bool(names) != bool(bijection.context):
            reads = f"reads a context of {bijection.context} values"
            raise UsageError(f"the flow is given {names}, but its bijection {reads}: give both or neither")
        self.base, self.bijection = base, bijection
        self.reads = Deterministic(net or Joined(), names) if names else None
        self.given = tuple(dict.fromkeys((*base.given, *names)))
        if not base.given:
            self._check(base({}))

    def forward(self, context: Context) -> Distribution:
        base = self.base(context)
        self._check(base)
        if self.reads is None:
            return FlowDistribution(base, self.bijection())
        read = self.reads(context).flatten(LEAD)
        lead = broadcast(base.batch_shape, read.shape[:LEAD])
        return FlowDistribution(base.expand(lead), self.bijection(read))

    def _check(self, base: Distribution) -> None:
        if base.event_shape.numel() != self.bijection.features:
            shape = tuple(base.event_shape)
            raise UsageError(f"a bijection of {self.bijection.features} values cannot map an event of shape {shape}")

    def formula(self, name: str) -> Formula:
        e = "e" if name[0] != "e" else f"{name}′"
        base = formula_of(self.base, e)
        reads = "" if self.reads is None else f"; {', '.join(self.reads.given)}"
        learned = Symbol("f", f"a learned bijection of {self.bijection.features} values")
        return Formula(name, "=", f"f({e}{reads})", (base,), (learned,))


class Slice(nn.Module):
    """A stretch of a vector.

    >>> Slice(1, 3)(torch.tensor([[0, 1, 2, 3]]))
    tensor([[1, 2]])
    """

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, vector: Tensor) -> Tensor:
        """`(n, width)` to `(n, stop - start)`."""
        return vector[:, self.start : self.stop]

    def extra_repr(self) -> str:
        return f"{self.start}, {self.stop}"


class Joined(nn.Module):
    """Several values as one vector for each example, end to end."""

    def forward(self, *values: Tensor) -> Tensor:
        """`(n, *event)` each to `(n, all)`."""
        return torch.cat([value.flatten(1) for value in values], dim=-1)
