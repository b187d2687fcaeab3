"""Enumeration: a discrete latent is summed out exactly, or taken as known where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.common.errors import UsageError
from vaekit.common.shapes import broadcast
from vaekit.core.conditional import Deterministic, Explains
from vaekit.core.context import Context, as_given
from vaekit.core.latent import Draw, Latent, draw
from vaekit.core.notation import Formula, Symbol, formula_of
from vaekit.core.trace import Batch, Trace
from vaekit.core.vae import VAE
from vaekit.objectives.checks import refuse_without_path
from vaekit.objectives.control import Controlled
from vaekit.objectives.objective import Objective, OverBatch, Step, Terms, TraceObjective


class Enumerate(Objective):
    r"""An objective in which a discrete latent y is summed out over its posterior.

    .. math:: U(x) = \sum_y q(y \mid x) \, L(x, y) + H(q(y \mid x)), \qquad
        L(x, y) + \alpha \log q(y \mid x) \text{ where y is known}

    with L the inner objective at y clamped, which holds log p(y). The gradient has no noise that comes of y. What is
    known of y is read from `batch.given`, one value of y for each example, with NaN or -1 where it is not known.

    Inside an `Elbo` of one draw the values of y are the samples of one trace, each weighted by its probability: what
    does not read y is computed once, and latents that are drawn before y are drawn once, so that the posterior of y
    may read them. Inside any other objective each value of y has a batch of its own.

    Args:
        latent: the name of y. Its posterior may read x, features of x and conditions; drawn latents inside `Elbo` only.
        inner: the objective for each value of y; an `Enumerate` of another latent too.
        classify: alpha, how much the posterior is trained to tell the known values. The value is then no bound.

    Source: Kingma, Rezende, Mohamed and Welling, 2014.

    Raises `UsageError` for a model without a discrete latent of this name, and for an inner objective that judges a
    batch as a whole: each value of y would count in full there, however improbable.

    >>> from vaekit.objectives import Elbo
    >>> from vaekit.recipes import build
    >>> model, _ = build("gm_vae", (6,), latent=2, components=3)
    >>> terms = Enumerate("c", Elbo())(model, Batch(torch.rand(5, 6)), Step.first())
    >>> terms.value.shape, sorted(terms.kl)
    (torch.Size([5]), ['c', 'z'])
    """

    def __init__(self, latent: str, inner: Objective, classify: float = 0.0) -> None:
        super().__init__()
        if not classify >= 0:
            raise UsageError(f"classify is {classify}: the weight of the known values is 0 or more")
        for part in inner.modules():
            if isinstance(part, OverBatch | Controlled):
                raise UsageError(
                    f"Enumerate({latent!r}) sums over values of {latent!r}; {type(part).__name__} judges a batch as "
                    "a whole, in which improbable values would count in full: leave it out"
                )
        self.latent = self.sums_out = latent
        self.inner = inner
        self.classify = classify
        self.is_bound = inner.is_bound and not classify
        self.adds_up = inner.adds_up
        self.compares_pairs = inner.compares_pairs

    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        self.demand(model)
        belief, terms = self._along_samples(model, batch, step) or self._batch_by_batch(model, batch, step)
        kl = {**terms.kl, self.latent: terms.kl[self.latent] - belief.entropy}
        return replace(terms, value=terms.value + belief.entropy + self.classify * belief.log_known, kl=kl)

    def _along_samples(self, model: VAE, batch: Batch, step: Step) -> tuple[Belief, Terms] | None:
        """The mean over y of the terms, from one trace whose samples are its values; None where there are no such."""
        inner = self.inner
        if not (isinstance(inner, TraceObjective) and inner.averages):
            return None
        trace, belief = enumerated(model, self.latent, batch)
        if inner.pathwise:
            refuse_without_path(trace, inner)
        return belief, inner.of(trace, replace(batch, chances=belief.weights), step)

    def _batch_by_batch(self, model: VAE, batch: Batch, step: Step) -> tuple[Belief, Terms]:
        """The mean over y of the terms, from the batch repeated for each of its values."""
        belief = self._belief(model, batch)
        terms: Terms = self.inner(model, self._every_value(batch, belief), step)
        kl = {name: belief.mean(term) for name, term in terms.kl.items()}
        rival = None if terms.rival is None else belief.mean(terms.rival)
        value, log_likelihood = belief.mean(terms.value), belief.mean(terms.log_likelihood)
        return belief, replace(terms, value=value, log_likelihood=log_likelihood, kl=kl, rival=rival)

    def demand(self, model: VAE) -> None:
        """Refuse a model that has no discrete latent of this name."""
        latents = dict(model.latents())
        if self.latent not in latents:
            has = ", ".join(map(repr, latents)) or "none"
            raise UsageError(
                f"Enumerate({self.latent!r}) needs a discrete latent of that name, and the model has {has}"
            )
        posterior = latents[self.latent].posterior
        if isinstance(posterior, Explains) and not posterior.support.is_discrete:
            raise UsageError(
                f"Enumerate({self.latent!r}) needs a discrete latent, and the posterior of {self.latent!r} is "
                f"over {posterior.support}"
            )

    def _belief(self, model: VAE, batch: Batch) -> Belief:
        beside = {name: value for name, value in batch.given.items() if name != self.latent}
        posterior = posterior_before_others(model, self.latent, as_given({"x": batch.x, **beside}))
        return belief_of(posterior, self.latent, batch)

    def _every_value(self, batch: Batch, belief: Belief) -> Batch:
        """The batch once for each value of y."""
        k, n = len(belief.values), len(batch)
        beside = {name: _repeated(value, k) for name, value in batch.given.items()}
        return Batch(_repeated(batch.x, k), beside | {self.latent: belief.values.repeat_interleave(n, 0)})

    def extra_repr(self) -> str:
        return f"{self.latent!r}, classify={self.classify}"

    def formula(self, name: str) -> Formula:
        y = self.latent
        inner = formula_of(self.inner, f"{name}(x, {y})")
        alpha = f" + {self.classify:g} log q({y} | x)" if self.classify else ""
        known = Formula(f"{name}, {y} known", "=", f"{inner.head}{alpha}")
        clamped = Symbol(inner.head, f"each density in it is given {y}, and its KL holds −log p({y})")
        return Formula(name, "=", f"Σ_{y} q({y} | x) {inner.head} + H(q({y} | x))", (inner, known), (clamped,))


@dataclass(frozen=True)
class Belief:
    """What is thought of y for each example: weights of its values `(value, batch)`, 0 and 1 where y is known.

    `entropy` is that of the posterior, and `log_known` the log-probability it gives to the known value; each is
    `(batch,)`, and 0 where y is known or not known.
    """

    values: Tensor
    weights: Tensor
    entropy: Tensor
    log_known: Tensor

    @staticmethod
    def of(values: Tensor, log_q: Tensor, known: Tensor | None) -> Belief:
        """From the values of y `(value, *event)`, log q(y | x) `(value, batch)`, and y where it is known."""
        weights = log_q.exp()
        entropy = -(weights * log_q.clamp(min=torch.finfo(log_q.dtype).min)).sum(0)
        if known is None:
            return Belief(values, weights, entropy, torch.zeros_like(entropy))
        told = same(values, known)
        is_known = told.any(0)
        log_known = torch.where(told, log_q, 0.0).sum(0)
        weights = torch.where(is_known, told.to(weights.dtype), weights)
        return Belief(values, weights, torch.where(is_known, 0.0, entropy), log_known)

    def mean(self, terms: Tensor) -> Tensor:
        """The mean over y of terms of the repeated batch, `(value * batch,)` to `(batch,)`."""
        of_each_value: Tensor = terms.unflatten(0, self.weights.shape)
        return (self.weights * of_each_value).sum(0)


def enumerated(model: VAE, name: str, batch: Batch) -> tuple[Trace, Belief]:
    """A trace in which the samples are the values of a discrete latent, `(value, batch)`, and what is thought of these.

    The latents that are drawn before it are drawn once for all its values.

    >>> from vaekit.recipes import build
    >>> trace, belief = enumerated(build("gm_vae", (6,), latent=2, components=3).model, "c", Batch(torch.rand(5, 6)))
    >>> trace.log_weight.shape, belief.weights.shape
    (torch.Size([3, 5]), torch.Size([3, 5]))
    """
    context = as_given({"x": batch.x, **{given: value for given, value in batch.given.items() if given != name}})
    order = model.inference_order
    place = order.index(name)
    draws = infer(model, order[:place], context)
    latent = model.parts[name]
    assert isinstance(latent, Latent)
    belief = belief_of(latent.posterior(context), name, batch)
    context[name] = belief.values.unsqueeze(1)
    draws |= infer(model, order[place + 1 :], context)
    return model.retrace(context, draws), belief


def infer(model: VAE, names: Sequence[str], context: dict[str, Tensor], samples: int = 1) -> dict[str, Draw]:
    """Add to what is known the named parts, in their order, from the posteriors: at least so many samples of each."""
    draws: dict[str, Draw] = {}
    for name in names:
        part = model.parts[name]
        if name in context:
            continue
        if isinstance(part, Latent):
            posterior = part.posterior(context)
            lead = broadcast(posterior.batch_shape, (samples, context["x"].shape[1]))
            draws[name] = draw(posterior, (lead[0], lead[1]))
            context[name] = draws[name].value
        else:
            context[name] = part(context)
    return draws


def belief_of(posterior: Distribution, name: str, batch: Batch) -> Belief:
    """What a posterior q(name | ...) of one sample, and what is known of it, say of each example."""
    values = listed(posterior, name)
    log_q = posterior.log_prob(values.unsqueeze(1).unsqueeze(1)).squeeze(1).expand(-1, len(batch))
    return Belief.of(values, log_q, batch.given.get(name))


def same(values: Tensor, known: Tensor) -> Tensor:
    """Which of the values `(value, *event)` each known one `(batch, *event)` is, `(value, batch)`; none for NaN.

    >>> same(torch.eye(2), torch.tensor([[0.0, 1.0], [torch.nan, torch.nan]]))
    tensor([[False, False],
            [ True, False]])
    """
    equal = values.unsqueeze(1) == known
    return equal.reshape(*equal.shape[:2], -1).all(-1)


def listed(posterior: Distribution, name: str) -> Tensor:
    """All values of a discrete latent, `(value, *event)`, in the order of its distribution."""
    try:
        support: Tensor = posterior.enumerate_support(expand=False)
    except NotImplementedError:
        kind = type(posterior).__name__
        raise UsageError(
            f"the posterior of {name!r} is a {kind}, whose values cannot be listed: Rloo() draws them"
        ) from None
    return support.reshape(len(support), *posterior.event_shape)


def posterior_before_others(model: VAE, name: str, known: Context) -> Distribution:
    """q(name | x, ...), from what is known before any latent is drawn."""
    context = dict(known)
    for part in model.inference_order:
        node = model.parts[part]
        if isinstance(node, Deterministic) and part not in context and set(node.given) <= context.keys():
            context[part] = node(context)
    latent = model.parts[name]
    assert isinstance(latent, Latent)
    _refuse_draws(name, latent.posterior.given, context)
    distribution: Distribution = latent.posterior(context)
    return distribution


def _refuse_draws(name: str, given: tuple[str, ...], context: Mapping[str, Tensor]) -> None:
    missing = [read for read in given if read not in context]
    if missing:
        raise UsageError(
            f"Enumerate({name!r}) sums {name!r} out before another latent is drawn, but its posterior reads "
            f"{missing[0]!r}: let it read x and conditions alone, and pass these in given"
        )


def _repeated(value: Tensor, times: int) -> Tensor:
    repeated: Tensor = value.repeat(times, *[1] * (value.dim() - 1))
    return repeated
