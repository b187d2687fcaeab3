"""The VampPrior: a mixture of the posteriors of learned pseudo-inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.common.shapes import broadcast
from vaekit.core.conditional import Conditional, Deterministic
from vaekit.core.context import LEAD, Context, read
from vaekit.core.meeting import Rows
from vaekit.core.notation import Formula, Symbol, density
from vaekit.priors.mixture import Mixture
from vaekit.priors.ranges import Anything, Range, range_of

TWINS_APART = 0.01
"""Noise on pseudo-inputs that start at rows: two that start at the same one would stay the same."""
NO_NODES: Mapping[str, Deterministic] = {}


class VampPrior(Conditional):
    r"""The variational mixture of posteriors, :math:`p(z) = \frac{1}{K} \sum_k q(z \mid u_k)`.

    The pseudo-inputs u are learned, and kept in the data's range. The encoder is the posterior's own: it is referred
    to, not owned, so its parameters are counted, saved and moved once, with the posterior. What else the encoder reads
    is a condition of the prior too: p(z | c) mixes q(z | u_k, c).

    Args:
        encoder: q(z | x), the posterior of the same latent.
        pseudo_inputs: where u starts, `(K, *event)`: rows of data, or any values.
        within: the range that u is kept in; any real values if not given.
        nodes: values between x and the encoder that the model computes, by name, in the order they are computed.
        meets_rows: whether the first run replaces the pseudo-inputs by training rows before it learns.

    Raises `UsageError` for no pseudo-inputs, and for an encoder that does not read x, directly or through `nodes`.

    Source: Tomczak and Welling, 2018.

    >>> from vaekit.core import Parametric
    >>> from vaekit.families import Normal
    >>> encoder = Parametric(nn.Linear(6, 4), Normal(), given="x")
    >>> prior = VampPrior(encoder, torch.rand(10, 6))
    >>> prior({}).log_prob(torch.zeros(5, 3, 2)).shape
    torch.Size([5, 3])
    >>> [name for name, _ in prior.named_parameters()]
    ['raw']
    """

    waiting: Tensor

    def __init__(
        self,
        encoder: Conditional,
        pseudo_inputs: Tensor,
        within: Range | None = None,
        nodes: Mapping[str, Deterministic] = NO_NODES,
        meets_rows: bool = False,
    ) -> None:
        super().__init__()
        if not len(pseudo_inputs):
            raise UsageError("a VampPrior of 0 pseudo-inputs: it needs at least 1")
        self._elsewhere = (encoder, dict(nodes))
        self.within = Anything() if within is None else within
        self.raw = nn.Parameter(self.within.raw(pseudo_inputs))
        self.register_buffer("waiting", torch.tensor(meets_rows))
        self.given = _conditions(encoder, nodes)

    @property
    def pseudo_inputs(self) -> Tensor:
        """u, `(K, *event)`, in the data's range."""
        return self.within.inside(self.raw)

    def meet(self, rows: Rows) -> None:
        """Start the pseudo-inputs at random rows; once in the life of a model, and only if that was asked for."""
        if not self.waiting:
            return
        numbers = torch.randperm(len(rows), device=self.raw.device)
        chosen = numbers.repeat(-(-len(self.raw) // len(rows)))[: len(self.raw)]
        with torch.no_grad():
            start = self.within.raw(rows[chosen].nan_to_num())
            self.raw.copy_(start + TWINS_APART * torch.randn_like(start))
        self.waiting.fill_(False)

    def forward(self, context: Context) -> Mixture:
        conditions = dict(zip(self.given, read(context, self.given), strict=True))
        lead = broadcast((1, 1), *(value.shape[:LEAD] for value in conditions.values()))
        inputs = self.pseudo_inputs
        log_weights = inputs.new_full((len(inputs),), -math.log(len(inputs)))
        each = self._each(inputs, conditions, lead)
        return Mixture(log_weights, lambda number: self._posterior(inputs[number], conditions), each, lead)

    def _posterior(self, x: Tensor, conditions: Context) -> Distribution:
        """q(z | x, ...), of x `(sample, batch, *event)`."""
        encoder, nodes = self._elsewhere
        context = {"x": x, **conditions}
        for name, node in nodes.items():
            context[name] = node(context)
        distribution: Distribution = encoder(context)
        return distribution

    def _each(self, inputs: Tensor, conditions: Context, lead: Size) -> Distribution:
        """The posterior of every pseudo-input under every condition, batch shape `(batch or 1, K)`."""
        folded = {
            name: value.expand(*lead, *value.shape[LEAD:]).flatten(0, 1).unsqueeze(1)
            for name, value in conditions.items()
        }
        each = self._posterior(inputs.unsqueeze(0), folded)
        return Unfolded(each, lead) if lead[0] > 1 else each

    def extra_repr(self) -> str:
        return f"pseudo_inputs={tuple(self.raw.shape)}, within={type(self.within).__name__}"

    def formula(self, name: str) -> Formula:
        posterior = density("q", name, ("uₖ", *self.given))
        u = Symbol("uₖ", f"pseudo-inputs, learned, k = 1 … {len(self.raw)}", tuple(self.raw.shape[1:]))
        return Formula(density("p", name, self.given), "=", f"1/{len(self.raw)} Σₖ {posterior}", symbols=(u,))


def waiting_vamp(
    encoder: Conditional,
    pseudo_inputs: int,
    event_shape: Size,
    support: Constraint | None,
    nodes: Mapping[str, Deterministic] = NO_NODES,
) -> VampPrior:
    """A VampPrior for data that are not there yet: the first run starts its pseudo-inputs at training rows.

    Args:
        encoder: q(z | x), the posterior of the same latent.
        pseudo_inputs: K.
        event_shape: shape of a row.
        support: the values a row may hold.
        nodes: values between x and the encoder that the model computes, by name, in the order they are computed.

    >>> from torch.distributions import constraints
    >>> from vaekit.core import Parametric
    >>> from vaekit.families import Normal
    >>> encoder = Parametric(nn.Linear(6, 4), Normal(), given="x")
    >>> prior = waiting_vamp(encoder, 10, Size((6,)), constraints.unit_interval)
    >>> bool(((prior.pseudo_inputs > 0) & (prior.pseudo_inputs < 1)).all())
    True
    """
    if pseudo_inputs < 1:
        raise UsageError(f"a VampPrior of {pseudo_inputs} pseudo-inputs: it needs at least 1")
    within = range_of(support, event_shape)
    start = within.inside(0.1 * torch.randn(pseudo_inputs, *event_shape))
    return VampPrior(encoder, start, within, nodes, meets_rows=True)


def _conditions(encoder: Conditional, nodes: Mapping[str, Deterministic]) -> tuple[str, ...]:
    """What encoder and nodes read besides x and each other."""
    wanted = [*encoder.given, *(name for node in nodes.values() for name in node.given)]
    if "x" not in wanted:
        raise UsageError(
            f"the encoder of a VampPrior reads {', '.join(encoder.given) or 'nothing'}, not x: "
            "give the nodes between them, nodes={name: node}"
        )
    return tuple(name for name in dict.fromkeys(wanted) if name != "x" and name not in nodes)


class Unfolded(Distribution):
    """A distribution of batch shape `(sample * batch, K)` seen as one of `(sample, batch, K)`."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, folded: Distribution, lead: Size) -> None:
        self.folded, self.lead = folded, lead
        super().__init__(Size((*lead, *folded.batch_shape[1:])), folded.event_shape, validate_args=False)

    @property
    def support(self) -> Constraint | None:
        """The support of the same values."""
        support: Constraint | None = self.folded.support
        return support

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), of `(sample, batch, K or 1, *event)`."""
        wide = value.expand(*self.lead, *value.shape[LEAD:])
        return self._unfolded(self.folded.log_prob(wide.flatten(0, 1)))

    @property
    def mean(self) -> Tensor:
        """The means."""
        return self._unfolded(self.folded.mean)

    @property
    def variance(self) -> Tensor:
        """The variances."""
        return self._unfolded(self.folded.variance)

    def _unfolded(self, folded: Tensor) -> Tensor:
        unfolded: Tensor = folded.unflatten(0, self.lead)
        return unfolded
