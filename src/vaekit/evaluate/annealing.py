"""The evidence by annealed importance sampling: from below on any data, from above on data the model made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.core import NOTHING, VAE, Context
from vaekit.evaluate.chains import Annealing, Chains
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.evidence import Evidence, WeightSums, at_rows, row_slices
from vaekit.train.means import evaluating

_DEFAULT = Annealing()


@dataclass(frozen=True)
class Annealed:
    """Evidence found by annealing, its `stderr` and `ess` over chains, and the acceptance of moves, `(batch,)`.

    Where the acceptance is near 0 the chains stood still, and the evidence is no better than without them.
    """

    evidence: Evidence
    acceptance: Tensor


@dataclass(frozen=True)
class Bracket:
    """The evidence of data that the model made, from both sides."""

    x: Tensor
    """The data, `(batch, *event)`, to hold other estimates of their evidence against the bracket."""
    lower: Annealed
    upper: Annealed

    @property
    def gap(self) -> Estimate:
        """Upper minus lower, in nats per example. Its standard error is over rows, and so of all that is random."""
        return Estimate.mean_of(self.upper.evidence.log_evidence - self.lower.evidence.log_evidence)

    def __str__(self) -> str:
        lower, upper = self.lower.evidence.mean, self.upper.evidence.mean
        return f"log p(x) between {lower:.2f} and {upper:.2f} nats, over {len(self.x)} rows that the model made"


def annealed(model: VAE, x: Tensor, how: Annealing = _DEFAULT, given: Context = NOTHING) -> Annealed:
    r"""log p(x) by annealed importance sampling: a lower bound in expectation, on any data.

    .. math:: \log \frac{1}{C} \sum_{c=1}^{C} \prod_{t=1}^{T} \frac{f_t(z^c_{t-1})}{f_{t-1}(z^c_{t-1})}

    The latents must be continuous and their densities differentiable. A discrete one must be in `given`, and then it
    is log p(x, given latents) that is found. Raises `UsageError` otherwise, and for a likelihood whose density is an
    estimate that is drawn anew whenever it is asked for (`Dequantised`, `NotAtRandom`).

    Args:
        model: the model; it is not changed.
        x: `(batch, *event)`.
        how: chains, temperatures and moves.
        given: conditions, and latents whose value is known, `(batch, *event)` each.

    Source: Neal, 2001; Wu, Burda, Salakhutdinov and Grosse, 2017.

    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> annealed(model, torch.rand(3, 6).round(), Annealing(chains=4, temperatures=10)).evidence.log_evidence.shape
    torch.Size([3])
    """
    with torch.no_grad(), evaluating(model):
        return _joined(_forward(_chains(model, x, how, given, rows)) for rows in _chunks(x, how))


def reverse_annealed(
    model: VAE, x: Tensor, latents: Context, how: Annealing = _DEFAULT, given: Context = NOTHING
) -> Annealed:
    r"""log p(x) by annealing backwards from an exact draw of p(z | x): an upper bound in expectation.

    .. math:: -\log \frac{1}{C} \sum_{c=1}^{C} \prod_{t=1}^{T} \frac{f_{t-1}(z^c_t)}{f_t(z^c_t)},
        \qquad z^c_T \sim p(z \mid x)

    Args:
        model: the model; it is not changed.
        x: `(batch, *event)`, drawn from the model.
        latents: those that made x, `(batch, *event)` each: a draw of its exact posterior, and the only one at hand.
        how: chains, temperatures and moves.
        given: conditions, and latents whose value is known, `(batch, *event)` each.

    Source: Grosse, Ghahramani and Adams, 2015; Grosse, Ancha and Roy, 2016 (bidirectional Monte Carlo).

    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> made = model.sample(3)
    >>> how = Annealing(chains=4, temperatures=10)
    >>> reverse_annealed(model, made.draw(), {"z": made.latent("z")}, how).evidence.log_evidence.shape
    torch.Size([3])
    """
    with torch.no_grad(), evaluating(model):
        return _joined(
            _backward(_chains(model, x, how, given, rows), at_rows(latents, rows)) for rows in _chunks(x, how)
        )


def bracket(model: VAE, n: int, how: Annealing = _DEFAULT, given: Context = NOTHING) -> Bracket:
    """log p(x) from both sides, on `n` rows that the model makes: in expectation the truth is between the two.

    The latents that made a row are an exact draw of its posterior, from which annealing can run backwards. A narrow
    bracket says that annealing is right on data such as the model makes; so it is on others as far as they are alike.

    Args:
        model: the model; it is not changed.
        n: rows to make.
        how: chains, temperatures and moves.
        given: conditions, and latents whose value is known, `(n, *event)` each.

    Source: Grosse, Ghahramani and Adams, 2015; Wu, Burda, Salakhutdinov and Grosse, 2017.

    >>> from vaekit.recipes import build
    >>> model, _ = build("vae", (6,), latent=2)
    >>> bracket(model, 3, Annealing(chains=4, temperatures=10)).lower.evidence.log_evidence.shape
    torch.Size([3])
    """
    if n < 1:
        raise UsageError(f"a bracket over {n} rows: make at least 1")
    with torch.no_grad(), evaluating(model):
        generation = model.sample(n, given)
        x, made = generation.draw(), {name: generation.latent(name) for name, _ in model.latents()}
        both = [_both(_chains(model, x, how, given, rows), at_rows(made, rows)) for rows in _chunks(x, how)]
    return Bracket(x, _joined(lower for lower, _ in both), _joined(upper for _, upper in both))


def _chunks(x: Tensor, how: Annealing) -> Iterator[slice]:
    if not len(x):
        raise UsageError("no rows to estimate the evidence of")
    return row_slices(x, how.rows_at_once(x))


def _chains(model: VAE, x: Tensor, how: Annealing, given: Context, rows: slice) -> Chains:
    return Chains(model, x[rows], how, at_rows(given, rows))


def _both(chains: Chains, latents: Context) -> tuple[Annealed, Annealed]:
    return _forward(chains), _backward(chains, latents)


def _forward(chains: Chains) -> Annealed:
    """From the start to the posterior; the last move, which no weight depends on, is left out."""
    u = chains.started()
    log_weight, acceptances = chains.log_ratio(u, 1), []
    for step, step_size in enumerate(chains.step_sizes, start=1):
        u, acceptance = chains.moved(u, step, step_size)
        log_weight = log_weight + chains.log_ratio(u, step + 1)
        acceptances.append(acceptance)
    return Annealed(_log_mean(chains, log_weight), _mean_acceptance(chains, acceptances))


def _backward(chains: Chains, latents: Context) -> Annealed:
    """The same way back; its weights estimate 1 / p(x)."""
    u = chains.at(latents)
    log_weight, acceptances = -chains.log_ratio(u, chains.how.temperatures), []
    for step, step_size in reversed(list(enumerate(chains.step_sizes, start=1))):
        u, acceptance = chains.moved(u, step, step_size)
        log_weight = log_weight - chains.log_ratio(u, step)
        acceptances.append(acceptance)
    inverse = _log_mean(chains, log_weight)
    evidence = replace(inverse, log_evidence=-inverse.log_evidence)
    return Annealed(evidence, _mean_acceptance(chains, acceptances))


def _log_mean(chains: Chains, log_weight: Tensor) -> Evidence:
    sums = WeightSums.nothing(len(chains.rows))
    sums.add(chains.by_chain(log_weight))
    return sums.evidence()


def _mean_acceptance(chains: Chains, acceptances: list[Tensor]) -> Tensor:
    """The mean over moves, for each row; NaN where there was none."""
    none = torch.full((len(chains.rows),), torch.nan)
    return torch.stack(acceptances).mean(0).cpu() if acceptances else none


def _joined(parts: Iterable[Annealed]) -> Annealed:
    parts = list(parts)
    return Annealed(Evidence.joined(part.evidence for part in parts), torch.cat([part.acceptance for part in parts]))
