"""The model: an ordered list of latents, each with a prior and a posterior, plus a likelihood."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from operator import attrgetter
from typing import Final

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.common.errors import UsageError
from vaekit.core.condition import Condition
from vaekit.core.conditional import Conditional, Deterministic
from vaekit.core.context import NOTHING, Context, as_given, event_of
from vaekit.core.latent import Draw, Latent, LatentTerm, Take, draw
from vaekit.core.measure import refuse_unlike
from vaekit.core.order import depending_on, in_order, refuse_reading
from vaekit.core.trace import Generation, Trace

NO_LEAD: Final = (0, 0)
"""For a run that finds every latent in its context, and so draws none."""


class VAE(nn.Module):
    r"""A variational autoencoder: latents in the order they are drawn, and a likelihood.

    .. math:: p(x, z) = p(x \mid z) \prod_l p(z_l \mid z_{<l}), \qquad q(z \mid x) = \prod_l q(z_l \mid x, \ldots)

    Parts are named by keyword and read each other by name; `x` is the data. A `Deterministic` part is a value
    that several others read. What a part reads and no other part makes is a condition, to be passed in `given`; a
    `Condition` part declares its shape.

    Source: Kingma and Welling, 2013; Rezende, Mohamed and Wierstra, 2014.

    >>> import torch
    >>> from vaekit.core import Latent, Parametric
    >>> from vaekit.families import Bernoulli, Normal
    >>> from vaekit.priors import standard_normal
    >>> encoder = Parametric(nn.Linear(784, 40), Normal(), given="x")
    >>> decoder = Parametric(nn.Linear(20, 784), Bernoulli(), given="z")
    >>> model = VAE(decoder, z=Latent(standard_normal(20), encoder))
    >>> model.trace(torch.rand(5, 784), samples=3).log_weight.shape
    torch.Size([3, 5])
    >>> model.sample(7).draw().shape
    torch.Size([7, 784])

    Raises `UsageError` for a name that no part can have, if parts wait for each other, or if a prior or the likelihood
    reads what depends on x.
    """

    def __init__(self, likelihood: Conditional, **parts: Latent | Deterministic | Condition) -> None:
        super().__init__()
        _refuse_names(parts)
        self.blueprint: object | None = None
        self.parts = nn.ModuleDict(parts)
        self.likelihood = likelihood
        self._order_parts()

    def _order_parts(self) -> None:
        values = {name: part.given for name, part in self._deterministic()}
        posteriors = {name: latent.posterior.given for name, latent in self.latents()}
        priors = {name: latent.prior.given for name, latent in self.latents()}
        after_x = depending_on("x", values)
        for name, given in priors.items():
            refuse_reading(given, after_x, f"the prior of {name!r}")
        refuse_reading(self.likelihood.given, after_x, "the likelihood")
        self.computed = frozenset(values)
        inference = posteriors | values
        before_x = {name: given for name, given in values.items() if name not in after_x}
        self.inference_order = in_order(self._as_declared(inference), "posteriors")
        self.generative_order = in_order(self._as_declared(priors | before_x), "priors")
        self.entangled = {name for name, given in priors.items() if depending_on(name, inference) & set(given)}
        read = {name for reads in (*values.values(), *posteriors.values(), *priors.values()) for name in reads}
        made = {*posteriors, *values, "x"}
        self.conditions = frozenset(read | set(self.likelihood.given) | set(self.declared)) - made

    def _as_declared(self, reads: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {name: reads[name] for name in self.parts if name in reads}

    def latents(self) -> Iterator[tuple[str, Latent]]:
        """The latents by name, in the order in which the model draws them."""
        return ((name, part) for name, part in self.parts.items() if isinstance(part, Latent))

    @property
    def weights(self) -> int:
        """How many numbers are learned."""
        return sum(weight.numel() for weight in self.parameters())

    @property
    def declared(self) -> dict[str, Condition]:
        """The conditions that are declared, by name."""
        return {name: part for name, part in self.parts.items() if isinstance(part, Condition)}

    def _deterministic(self) -> Iterator[tuple[str, Deterministic]]:
        return ((name, part) for name, part in self.parts.items() if isinstance(part, Deterministic))

    def trace(self, x: Tensor, samples: int = 1, given: Context = NOTHING) -> Trace:
        """Explain a batch: draw each latent from its posterior, `samples` times for each example.

        Args:
            x: `(batch, *event)`.
            samples: draws of the latents for each example.
            given: conditions, and latents whose value is known, `(batch, *event)` each.
        """
        context = as_given({"x": x, **given})
        draws = self._run(self.inference_order, context, attrgetter("posterior"), (samples, len(x)))
        return self._traced(context, draws)

    def retrace(self, values: Context, draws: Mapping[str, Draw]) -> Trace:
        """The trace of values in hand: x, every latent and the conditions, `(sample or 1, batch, *event)` each.

        What the generative side computes from them is computed anew; no encoder runs.
        """
        context = dict(values)
        self._run(self.generative_order, context, attrgetter("prior"), NO_LEAD)
        return self._traced(context, draws)

    def posteriors(self, values: Context, names: Collection[str]) -> dict[str, Distribution]:
        """q(z | x, ...) of the named latents, where all latents have the values in hand; nothing is drawn."""
        context = dict(values)
        self._run(self.inference_order, context, attrgetter("posterior"), NO_LEAD)
        return {name: latent.posterior(context) for name, latent in self.latents() if name in names}

    def _traced(self, context: Context, draws: Mapping[str, Draw]) -> Trace:
        terms = {name: self._term(name, latent, context, draws.get(name)) for name, latent in self.latents()}
        return Trace(self, context, terms)

    def _term(self, name: str, latent: Latent, context: Context, drawn: Draw | None) -> LatentTerm:
        prior, event = latent.prior(context), event_of(context[name])
        if prior.event_shape != event:
            shapes = f"{tuple(event)}, but its prior is over {tuple(prior.event_shape)}"
            raise UsageError(f"the latent {name!r} has the shape {shapes}: give both the same")
        if drawn is not None:
            refuse_unlike(name, drawn.distribution, prior)
        return LatentTerm(context[name], prior, drawn, name in self.entangled)

    def posterior(self, x: Tensor, samples: int = 1, given: Context = NOTHING, take: Take = draw) -> dict[str, Draw]:
        """Take the latents from their posteriors (draws, or means by `take=centre`); no likelihood is computed."""
        context = as_given({"x": x, **given})
        return self._run(self.inference_order, context, attrgetter("posterior"), (samples, len(x)), take)

    def sample(self, n: int, given: Context = NOTHING) -> Generation:
        """Make up `n` examples: latents from their priors, in order, then the likelihood; no encoder runs.

        Args:
            n: how many.
            given: conditions, and latents whose value is known, `(n, *event)` each.
        """
        context = as_given(given)
        self._run(self.generative_order, context, attrgetter("prior"), (1, n))
        return Generation(context, self.likelihood(context), n)

    def _run(
        self,
        order: tuple[str, ...],
        context: dict[str, Tensor],
        side: Callable[[Latent], Conditional],
        lead: tuple[int, int],
        take: Take = draw,
    ) -> dict[str, Draw]:
        """Add to the context what it lacks, part by part; latents are taken from the side asked for."""
        for name, condition in self.declared.items():
            condition.refuse_misfit(name, context)
        draws: dict[str, Draw] = {}
        for name in order:
            part = self.parts[name]
            if name in context:
                continue
            if isinstance(part, Latent):
                draws[name] = take(side(part)(context), lead)
                context[name] = draws[name].value
            else:
                context[name] = part(context)
        return draws


def _refuse_names(names: Collection[str]) -> None:
    """Refuse names that are taken: that of the data, and those that torch's dictionary of modules needs itself."""
    taken = nn.ModuleDict()
    for name in names:
        if name == "x":
            raise UsageError("'x' is the name of the data: give this part another name")
        if not name or "." in name or hasattr(taken, name):
            raise UsageError(f"a part cannot be named {name!r}, which torch keeps for itself: give it another name")
