"""Penalties: losses that are subtracted from an objective, over the trace they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from torch import Tensor, nn

from vaekit.common.errors import unknown
from vaekit.core.latent import LatentTerm
from vaekit.core.notation import Formula, formula_of
from vaekit.core.trace import Batch, Trace
from vaekit.core.vae import VAE
from vaekit.objectives.notation import Weighed, less
from vaekit.objectives.objective import Step, Terms, TraceObjective
from vaekit.objectives.schedules import Schedule, schedule


class Penalty(nn.Module, ABC):
    """A loss for each example, to be kept small beside an objective: `Elbo() + Commitment(0.25)`.

    A penalty brings its own weight. What it says of a batch as a whole, it says of each of the batch's examples.
    """

    compares_pairs: bool = False
    """Whether it compares the examples of a batch pair by pair, so that its work grows with the square of them."""

    @abstractmethod
    def forward(self, trace: Trace, batch: Batch, step: Step) -> Tensor:
        """The weighted loss, `(batch,)`: it is subtracted from the objective's value."""

    def __radd__(self, objective: TraceObjective) -> Penalised:
        """The objective with this penalty beside it."""
        return Penalised(objective, self) if isinstance(objective, TraceObjective) else NotImplemented


class OfOneLatent(nn.Module):
    """What stands beside an objective with a weight, and is about one latent.

    Args:
        weight: a number or a `Schedule`.
        latent: the name of the latent.
    """

    def __init__(self, weight: float | Schedule = 1.0, latent: str = "z") -> None:
        super().__init__()
        self.weight = schedule(weight)
        self.latent = latent

    def demand(self, model: VAE) -> None:
        """Refuse a model that has no latent of this name."""
        names = [name for name, _ in model.latents()]
        if self.latent not in names:
            raise unknown(f"latent in {type(self).__name__}:", self.latent, names)

    def extra_repr(self) -> str:
        return f"weight={self.weight}, latent={self.latent!r}"


class LatentPenalty(OfOneLatent, Penalty):
    """A weighted loss of what one latent left in the trace.

    Args:
        weight: a number or a `Schedule`.
        latent: the name of the latent.
    """

    notation: str = ""
    """How the loss is written, with {z} for the latent; by the name of its class where that is empty."""

    @abstractmethod
    def loss(self, term: LatentTerm) -> Tensor:
        """The loss of each example, `(batch,)`, or of the batch, `()`."""

    def forward(self, trace: Trace, batch: Batch, step: Step) -> Tensor:
        self.demand(trace.model)
        return (self.weight(step.count) * self.loss(trace.latents[self.latent])).expand(len(batch))

    def formula(self, name: str) -> Formula:
        weighed = Weighed.by(self.weight, "γ", (self.notation or type(self).__name__).format(z=self.latent))
        return Formula(name, "=", weighed.text, symbols=weighed.symbols)


class Accompanied(TraceObjective):
    """An objective, and something beside it that is of one and the same trace; the sum is not a bound.

    Args:
        objective: what stands first; it says how the trace is made.
        beside: a module that looks at the trace too.
    """

    def __init__(self, objective: TraceObjective, beside: nn.Module) -> None:
        super().__init__()
        self.objective = objective
        self.beside = beside
        self.samples = objective.samples
        self.pathwise = objective.pathwise
        self.adds_up = objective.adds_up
        self.compares_pairs = objective.compares_pairs or bool(getattr(beside, "compares_pairs", False))

    def formula(self, name: str) -> Formula:
        """The objective less what is beside it."""
        objective, beside = formula_of(self.objective, name), formula_of(self.beside, "")
        symbols = (*objective.all_symbols, *beside.all_symbols)
        return Formula(name, "=", less(objective.body, beside.body), objective.where, symbols)


class Penalised(Accompanied):
    """An objective less a penalty, of one and the same trace.

    Its value is not a bound, whatever the objective is; `Terms.elbo` stays the plain bound. Its sum with a further
    penalty has both.

    >>> import torch
    >>> from vaekit.objectives import Elbo
    >>> class Length(Penalty):
    ...     def forward(self, trace: Trace, batch: Batch, step: Step) -> Tensor:
    ...         return trace.context["z"].square().sum(-1).mean(0)
    >>> from vaekit.recipes import build
    >>> penalised, model = Elbo() + Length(), build("vae", (6,), latent=2).model
    >>> terms = penalised(model, Batch(torch.rand(3, 6)), Step.first())
    >>> bool((terms.value < terms.elbo).all()), penalised.is_bound
    (True, False)
    """

    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        terms = self.objective.of(trace, batch, step)
        return replace(terms, value=terms.value - self.beside(trace, batch, step))
