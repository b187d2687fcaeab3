"""The generative process of a model and its inference in formulas, as its parts write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from vaekit.common.seeds import seeded
from vaekit.core.conditional import Deterministic
from vaekit.core.context import NOTHING, Context, event_of
from vaekit.core.latent import Latent
from vaekit.core.notation import Formula, Symbol, formula_of
from vaekit.core.vae import VAE


@dataclass(frozen=True)
class Process:
    """How a model makes data up, how it infers latents from data, and what the symbols stand for.

    >>> from vaekit.core import Latent, Parametric
    >>> from vaekit.families import Bernoulli, Normal
    >>> from vaekit.priors import standard_normal
    >>> encoder = Parametric(nn.Linear(784, 40), Normal(), given="x")
    >>> decoder = Parametric(nn.Linear(20, 784), Bernoulli(), given="z")
    >>> process = Process.of(VAE(decoder, z=Latent(standard_normal(20), encoder)))
    >>> print("\\n".join(aligned(process.generative)))
    z     ~ N(0, I)
    x | z ~ Bernoulli(π(z))
    >>> print("\\n".join(aligned(process.inference)))
    z | x ~ N(μ(x), diag σ(x)²)
    """

    given: tuple[str, ...]
    """What is known beside x, and never drawn."""
    latents: tuple[str, ...]
    """The latents in the order in which they are drawn from their priors."""
    generative: tuple[Formula, ...]
    inference: tuple[Formula, ...]
    symbols: tuple[Symbol, ...]

    @staticmethod
    def of(model: VAE, given: Context = NOTHING) -> Process:
        """The process of a model; it is run once, on data of its own making, for the shapes of its values.

        Args:
            model: a model.
            given: a value of each condition that the model does not declare, `(1, *event)`.
        """
        generative = tuple(_statements(_generative(model)))
        inference = tuple(_statements(_inference(model)))
        latents = tuple(name for name in model.generative_order if name not in model.computed)
        named = _values(model, example(model, given))
        brought = (symbol for formula in (*generative, *inference) for symbol in formula.symbols)
        conditions = tuple(sorted(model.conditions))
        return Process(conditions, latents, generative, inference, tuple(dict.fromkeys((*named, *brought))))


def _statements(formulas: Iterable[Formula]) -> Iterator[Formula]:
    return (statement for formula in formulas for statement in formula.statements)


def _generative(model: VAE) -> Iterator[Formula]:
    for name in model.generative_order:
        part = model.parts[name]
        yield formula_of(part.prior if isinstance(part, Latent) else part, name)
    yield formula_of(model.likelihood, "x")


def _inference(model: VAE) -> Iterator[Formula]:
    """Of the nodes those that need x; the others are computed when generating too."""
    for name in model.inference_order:
        part = model.parts[name]
        if isinstance(part, Latent):
            yield formula_of(part.posterior, name)
        elif name not in model.generative_order:
            yield formula_of(part, name)


def _values(model: VAE, context: Context) -> Iterator[Symbol]:
    """The named values: the data, what is known beside them, the latents and the nodes."""
    yield Symbol("x", "data", tuple(event_of(context["x"])))
    for name in sorted(model.conditions):
        yield Symbol(name, "known beside x", tuple(event_of(context[name])))
    late = (name for name in model.inference_order if name not in model.generative_order)
    for name in (*model.generative_order, *late):
        yield Symbol(name, _meaning(model.parts[name]), tuple(event_of(context[name])))


def _meaning(part: nn.Module) -> str:
    return f"computed from {', '.join(part.given)}" if isinstance(part, Deterministic) else "latent"


def example(model: VAE, given: Context = NOTHING) -> Context:
    """Every named value of one example that the model makes up and explains again, `(1, 1, *event)` each.

    Conditions are zeros of the shape that is declared for them. Weights, modes and randomness stay as they were.
    """
    modes = {module: module.training for module in model.modules()}
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    declared = {name: torch.zeros(1, *part.event_shape, device=device) for name, part in model.declared.items()}
    given = {**declared, **given}
    with torch.no_grad(), seeded(0, device):
        x = model.eval().sample(1, given).draw()
        context = model.trace(x, given=given).context
    for module, training in modes.items():
        module.training = training
    return context


def aligned(formulas: Sequence[Formula]) -> list[str]:
    """Formulas as lines, their relations below each other."""
    width = max((len(formula.head) for formula in formulas), default=0)
    return [f"{formula.head:<{width}} {formula.relation} {formula.body}" for formula in formulas]
