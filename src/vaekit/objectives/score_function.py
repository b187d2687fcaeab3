r"""Unbiased gradients for draws that have none of their own: the score function, with others' draws as its baseline.

.. math:: \nabla E_q f(z) = E_q [\nabla f(z) + (f(z) - b) \nabla \log q(z)]

for any b that does not depend on z. Latents with a pathwise gradient keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

from vaekit.common.errors import UsageError
from vaekit.core.conditional import Deterministic
from vaekit.core.latent import Draw
from vaekit.core.notation import Formula
from vaekit.core.order import depending_on
from vaekit.core.trace import Batch, Trace
from vaekit.core.vae import VAE
from vaekit.objectives.bounds import Bound
from vaekit.objectives.checks import NeedsDensities, drawn, without_path
from vaekit.objectives.gradients import Gradient, of_every_draw
from vaekit.objectives.kl import KL, analytic_kl
from vaekit.objectives.notation import ELBO, plus_gradient
from vaekit.objectives.objective import Step, Terms, TraceObjective, sample_mean, terms_of


class Rloo(TraceObjective):
    r"""The ELBO, with an unbiased gradient for discrete latents too: each draw's baseline is the mean of the others.

    .. math:: \nabla L = \frac{1}{K} \sum_k \Bigl[ \nabla f_k + \bigl(f_k - \tfrac{1}{K - 1} \sum_{j \ne k} f_j\bigr)
        \nabla \log q(z_k \mid x) \Bigr]

    with f the log-likelihood less the KL, in closed form where there is one. The value is the plain ELBO.

    Args:
        samples: K, draws of the latents for each example.
        kl: how the KL is found.

    Sources: Mnih and Rezende, 2016; Kool, van Hoof and Welling, 2019.

    Raises `UsageError` for fewer than 2 samples.

    >>> from vaekit.recipes import build
    >>> model, _ = build("bernoulli_vae", (6,), latent=3)
    >>> terms = Rloo()(model, Batch(torch.rand(5, 6)), Step.first())
    >>> bool((terms.value - terms.elbo).abs().max() < 1e-5)
    True
    """

    is_bound = True
    pathwise = False

    def __init__(self, samples: int = 4, kl: KL = analytic_kl) -> None:
        super().__init__()
        self.samples = _at_least_two(samples)
        self.kl = kl

    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        kl = {name: self.kl(term) for name, term in trace.latents.items()}
        signal = _wide(trace.log_lik - sum(kl.values()), self.samples, batch)
        surplus = signal - of_others(signal)
        score = (surplus.detach() * _wide(log_score(trace), self.samples, batch)).mean(0)
        return terms_of(trace, batch, with_extra_gradient(signal.mean(0), score), kl)

    def extra_repr(self) -> str:
        return f"samples={self.samples}, kl={self.kl.__name__}"

    def formula(self, name: str) -> Formula:
        way = f"by the score function of discrete latents, against the mean of the other draws of {self.samples}"
        return plus_gradient(name, ELBO, way)


class Disarm(NeedsDensities, TraceObjective):
    r"""The ELBO, with an unbiased gradient for Bernoulli latents from pairs of opposite draws.

    Of :math:`b = 1[u < \sigma(\alpha)]` and :math:`\tilde b = 1[1 - u < \sigma(\alpha)]`, each a draw of its own,

    .. math:: \nabla_\alpha L = \tfrac{1}{2} (f(b) - f(\tilde b)) (b - \tilde b) \, \sigma(|\alpha|) .

    Where the two agree in a coordinate, it is left alone: less noise than two draws of `Rloo`. The value is the plain
    ELBO, of both draws. The model may have one latent without a pathwise gradient, of Bernoulli coordinates, which no
    other latent's posterior reads; with none it is the ELBO of `samples` draws.

    Args:
        samples: how many pairs for each example.
        kl: how the KL is found.

    Source: Dong, Mnih and Tucker, 2020; Yin, Ho, Yan, Qian and Zhou, 2020.

    Raises `UsageError` for no samples, and for a model with other discrete latents.

    >>> from vaekit.recipes import build
    >>> model, _ = build("bernoulli_vae", (6,), latent=3)
    >>> Disarm()(model, Batch(torch.rand(5, 6)), Step.first()).value.shape
    torch.Size([5])
    """

    is_bound = True
    pathwise = False

    def __init__(self, samples: int = 1, kl: KL = analytic_kl) -> None:
        super().__init__()
        if samples < 1:
            raise UsageError(f"{samples} samples: an ELBO needs at least 1")
        self.samples = samples
        self.kl = kl

    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        seen, bits = self._seen(trace, batch), self._bits(trace)
        if bits is None:
            return Terms(seen.signal.mean(0), seen.log_likelihood, seen.kl)
        name, draw = bits
        logits = _logits(name, draw.distribution)
        other = opposite_bits(draw.value, logits)
        opposite = self._seen(_retraced(trace, name, draw, other), batch)
        score = _disarm(seen.signal - opposite.signal, draw.value - other, logits)
        value = with_extra_gradient((seen.signal + opposite.signal).mean(0) / 2, score)
        kl = {latent: (seen.kl[latent] + opposite.kl[latent]) / 2 for latent in seen.kl}
        return Terms(value, (seen.log_likelihood + opposite.log_likelihood) / 2, kl)

    def _seen(self, trace: Trace, batch: Batch) -> Seen:
        kl = {name: self.kl(term) for name, term in trace.latents.items()}
        signal = _wide(trace.log_lik - sum(kl.values()), self.samples, batch)
        means = {name: sample_mean(term, batch) for name, term in kl.items()}
        return Seen(signal, sample_mean(trace.log_lik, batch), means)

    def _bits(self, trace: Trace) -> tuple[str, Draw] | None:
        scored = without_path(trace)
        if len(scored) > 1:
            raise UsageError(f"Disarm opposes the draws of one latent, not of {', '.join(scored)}: take Rloo()")
        for name in scored:
            _refuse_readers(trace.model, name)
        return next(iter(scored.items()), None)

    def extra_repr(self) -> str:
        return f"samples={self.samples}, kl={self.kl.__name__}"

    def formula(self, name: str) -> Formula:
        pairs = "a pair" if self.samples == 1 else f"{self.samples} pairs"
        return plus_gradient(name, ELBO, f"by the score function of the bits, from {pairs} of opposite draws")


@dataclass(frozen=True)
class Seen:
    """What one set of draws says: the signal `(sample, batch)`, and means over samples."""

    signal: Tensor
    log_likelihood: Tensor
    kl: Mapping[str, Tensor]


@dataclass(frozen=True)
class LeaveOneOut(Gradient):
    """An unbiased gradient of any bound for discrete latents too: a draw is credited with what it adds to the bound.

    That is the bound less what it would be with the mean of the others' log-weights in the place of the draw's own: of
    the importance-weighted bound this is VIMCO, of the ELBO it is `Rloo` with a sampled KL. Latents with a pathwise
    gradient keep it.

    Source: Mnih and Rezende, 2016.

    >>> from vaekit.objectives import Iwae
    >>> Iwae(samples=8, gradient=LeaveOneOut())
    Iwae(PowerMean(samples=8, groups=1, power=1.0), LeaveOneOut())
    """

    pathwise = False

    def __call__(self, bound: Bound, trace: Trace) -> tuple[Tensor, Trace]:
        draws = _at_least_two(bound.samples)
        log_weight = of_every_draw(trace.log_weight, bound, trace)
        value, known = bound(log_weight), log_weight.detach()
        without = torch.where(_one_each(known), of_others(known).unsqueeze(1), known.unsqueeze(1))
        left = bound(without.flatten(1)).unflatten(0, (draws, -1))
        score = ((value.detach() - left) * of_every_draw(log_score(trace), bound, trace)).sum(0)
        return with_extra_gradient(value, score), trace

    @property
    def words(self) -> str:
        """The way in words."""
        return "by the score function of discrete latents, against what the other draws say"


def _one_each(log_weight: Tensor) -> Tensor:
    """Which of the draws is left out, `(sample, left out, 1)` against log-weights `(sample, 1, batch)`."""
    return torch.eye(len(log_weight), dtype=torch.bool, device=log_weight.device).unsqueeze(-1)


def of_others(values: Tensor) -> Tensor:
    """For each sample the mean over the other samples, `(sample, batch)`.

    >>> of_others(torch.tensor([[1.0], [2.0], [6.0]])).flatten()
    tensor([4.0000, 3.5000, 1.5000])
    """
    return (values.sum(0) - values) / (len(values) - 1)


def log_score(trace: Trace) -> Tensor:
    """log q of the draws that have no pathwise gradient, `(sample, batch)`; 0 where all have."""
    log_q = [draw.log_prob for draw in without_path(trace).values()]
    return sum(log_q, torch.zeros_like(trace.log_lik))


def with_extra_gradient(value: Tensor, surrogate: Tensor) -> Tensor:
    """A value with its own gradient, and that of a surrogate added to it."""
    return value + (surrogate - surrogate.detach())


def opposite_bits(value: Tensor, logits: Tensor) -> Tensor:
    """Bits from 1 - u, where those in hand came from u: a draw of the same law, as unlike them as can be.

    >>> opposite_bits(torch.tensor([0.0, 1.0]), torch.zeros(2))
    tensor([1., 0.])
    """
    probability = torch.sigmoid(logits.detach())
    within = torch.rand_like(value)
    u = torch.where(value > 0.5, within * probability, probability + within * (1 - probability))
    return (1 - u < probability).to(value.dtype)


def _disarm(gain: Tensor, unlike: Tensor, logits: Tensor) -> Tensor:
    """The surrogate whose gradient by the logits is the estimator's, `(batch,)`."""
    weight = (unlike * torch.sigmoid(logits.abs())).detach()
    score = (weight * logits).flatten(2).sum(-1)
    return (gain.detach() / 2 * score).mean(0)


def _logits(name: str, distribution: Distribution) -> Tensor:
    base = distribution.base_dist if isinstance(distribution, Independent) else distribution
    if not isinstance(base, Bernoulli):
        raise UsageError(f"Disarm opposes Bernoulli draws, and {name!r} has a {type(base).__name__}: take Rloo()")
    return base.logits


def _retraced(trace: Trace, name: str, draw: Draw, value: Tensor) -> Trace:
    """The trace with another value of one latent, all others as they were drawn."""
    computed = {part for part, node in trace.model.parts.items() if isinstance(node, Deterministic)}
    values = {key: known for key, known in trace.context.items() if key not in computed} | {name: value}
    return trace.model.retrace(values, drawn(trace) | {name: replace(draw, value=value, known_log_prob=None)})


def _refuse_readers(model: VAE, name: str) -> None:
    reads = {other: latent.posterior.given for other, latent in model.latents()}
    reads |= {other: part.given for other, part in model.parts.items() if isinstance(part, Deterministic)}
    readers = sorted(depending_on(name, reads) & {other for other, _ in model.latents()} - {name})
    if readers:
        raise UsageError(
            f"Disarm needs a latent that no other posterior reads, and {readers[0]!r} reads {name!r}: take Rloo()"
        )


def _wide(log_terms: Tensor, samples: int, batch: Batch) -> Tensor:
    return log_terms.expand(samples, len(batch))


def _at_least_two(samples: int) -> int:
    if samples < 2:
        raise UsageError(f"{samples} samples: a draw needs others to be compared with, so take at least 2")
    return samples
