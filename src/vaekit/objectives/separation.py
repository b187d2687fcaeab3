"""Separation: the borders between the values of a discrete latent are kept where there are no data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.modules.batchnorm import _BatchNorm

from vaekit.common.errors import UsageError
from vaekit.core.context import as_given
from vaekit.core.notation import Formula, Symbol, formula_of
from vaekit.core.trace import Batch
from vaekit.core.vae import VAE
from vaekit.objectives.enumeration import listed, posterior_before_others
from vaekit.objectives.moves import Moves
from vaekit.objectives.objective import Objective, OverBatch, Step, Terms

RANK: Final = 25
"""One row in so many is nearer than the neighbour by whose distance a row is moved."""
PROBE: Final = 1.25
"""How far from a row the worst direction is looked for, in units of the neighbour's distance."""
TINY: Final = 1e-12


@dataclass(frozen=True)
class SeparationWeights:
    """What the parts of a separation weigh, in nats.

    Raises `UsageError` for a weight or a radius below 0.
    """

    smooth: float = 50.0
    """Of the change of q(y | x) along a step from x in the worst direction."""
    spread: float = 20.0
    """Of the entropy of the values over the batch: none is left without rows."""
    certain: float = 5.0
    """Of the entropy of each row's values: each row has one."""
    radius: float = 0.25
    """How long the step is, as a share of the distance between neighbours in a batch."""
    alike: float = 50.0
    """Of the change of q(y | x) when a row is moved, where there are moves."""

    def __post_init__(self) -> None:
        if not min(self.smooth, self.spread, self.certain, self.radius, self.alike) >= 0:
            raise UsageError(f"{self}: a weight of a separation, and its radius, are 0 or more")


class Separated(OverBatch, Objective):
    r"""An objective with a discrete latent y whose borders are pressed away from the data.

    .. math:: L + \lambda_H \, H\bigl(E_x \, q(y \mid x)\bigr) - \lambda_h \, E_x H(q(y \mid x))
        - \lambda_s \, KL(q(y \mid x) \,\|\, q(y \mid x + r)) - \lambda_a \, KL(q(y \mid x) \,\|\, q(y \mid T x)),
        \qquad r = \arg\max_{\|r\| = \rho d} KL(q(y \mid x) \,\|\, q(y \mid x + r))

    The first two are a weighted mutual information of x and y over the batch. The third is virtual adversarial
    training: q is not to change along a short step r in the direction in which it changes most, found by one gradient
    from a random start. d is the distance between near rows, a mean over the batch: steps are equally long everywhere,
    so that to part a dense class costs more than to part two. The last is of rows that are moved, where it is known
    which moves T make no other row of one. The value is no bound; `Terms.elbo` is the plain one, of unmoved rows.

    Args:
        objective: what stands first: an `Enumerate` of y.
        weights: of the parts, and the length of the step.
        moves: what may be done to a row without making another of it: `SmallMoves()` of images. None where nothing.

    The posterior of y may read x and what is computed of it. Rows are arrays without holes.

    Sources: Miyato, Maeda, Koyama and Ishii, 2018; Hu, Miyato, Tokui, Matsumoto and Sugiyama, 2017.

    >>> from vaekit.recipes import build
    >>> model, objective = build("smooth_gm_vae", (6,), latent=2, labels=3)
    >>> terms = objective(model, Batch(torch.rand(8, 6)), Step.first())
    >>> terms.value.shape, bool((terms.value == terms.elbo).any())
    (torch.Size([8]), False)
    """

    compares_pairs = True

    def __init__(
        self, objective: Objective, weights: SeparationWeights = SeparationWeights(), moves: Moves | None = None
    ) -> None:
        super().__init__()
        if objective.sums_out is None:
            raise UsageError("a separation is of a latent that is summed out: put Enumerate(...) first")
        self.objective, self.weights, self.latent = objective, weights, objective.sums_out
        self.moves = moves

    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        terms: Terms = self.objective(model, batch, step)
        log_q = self._log_q(model, batch)
        with statistics_kept(model):
            lost = self._changes(model, batch, log_q.detach())
        return replace(terms, value=terms.value + self._information(log_q) - lost)

    def _information(self, log_q: Tensor) -> Tensor:
        """The weighted entropies of the batch and of its rows, `(batch,)`."""
        together = log_q.exp().mean(0).clamp(min=TINY).log()
        return self.weights.spread * entropy(together) - self.weights.certain * entropy(log_q)

    def _log_q(self, model: VAE, batch: Batch) -> Tensor:
        """log q(y | x) of all values, `(batch, value)`."""
        beside = {name: value for name, value in batch.given.items() if name != self.latent}
        posterior = posterior_before_others(model, self.latent, as_given({"x": batch.x, **beside}))
        values = listed(posterior, self.latent)
        return posterior.log_prob(values.unsqueeze(1).unsqueeze(1)).squeeze(1).expand(-1, len(batch)).T

    def _changes(self, model: VAE, batch: Batch, log_q: Tensor) -> Tensor:
        """What q(y | x) changes at the worst step and by a move, weighed, `(batch,)`."""
        near = near_distance(batch.x)
        step = self.weights.radius * near * self._worst(model, batch, log_q, near)
        lost = self.weights.smooth * self._change(model, batch, log_q, batch.x + step)
        if self.moves is None or not self.weights.alike:
            return lost
        return lost + self.weights.alike * self._change(model, batch, log_q, self.moves(batch.x))

    def _change(self, model: VAE, batch: Batch, log_q: Tensor, x: Tensor) -> Tensor:
        """KL(q(y | x) || q(y | x')) of rows and others in their place, `(batch,)`."""
        return divergence(log_q, self._log_q(model, replace(batch, x=x)))

    def _worst(self, model: VAE, batch: Batch, log_q: Tensor, near: Tensor) -> Tensor:
        """The direction in which q changes most, of length 1, by a gradient at a step in a random one."""
        with torch.enable_grad():
            start = directions(torch.randn_like(batch.x)).requires_grad_()
            change = self._change(model, batch, log_q, batch.x + PROBE * near * start)
            (along,) = torch.autograd.grad(change.sum(), start)
        return directions(along)

    def extra_repr(self) -> str:
        moved = "" if self.moves is None else f", {self.moves}"
        return f"{self.latent!r}, {self.weights}{moved}"

    def formula(self, name: str) -> Formula:
        """The objective, and what is beside it."""
        y, w, first = self.latent, self.weights, formula_of(self.objective, name)
        q = f"q({y} | x)"
        beside = f"{w.spread:g} H(E_x {q}) − {w.certain:g} H({q}) − {w.smooth:g} KL({q} ‖ q({y} | x + r))"
        step = Symbol("r", f"the step of {w.radius:g} of the distance between near rows along which {q} changes most")
        symbols = (*first.all_symbols, step)
        if self.moves is None:
            return Formula(name, "=", f"{first.body} + {beside}", first.where, symbols)
        moved, move = f"{w.alike:g} KL({q} ‖ q({y} | T x))", Symbol("T", f"a move at random: {self.moves}")
        return Formula(name, "=", f"{first.body} + {beside} − {moved}", first.where, (*symbols, move))


def entropy(log_p: Tensor) -> Tensor:
    """The entropy of probabilities `(..., value)`.

    >>> entropy(torch.tensor([0.5, 0.5]).log())
    tensor(0.6931)
    """
    return -(log_p.exp() * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum(-1)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) of probabilities `(..., value)`; those below what the type can hold count as the least it can.

    >>> float(divergence(torch.tensor([0.0, -torch.inf]), torch.tensor([0.5, 0.5]).log()))  # log 2
    0.693147...
    """
    least = math.log(torch.finfo(log_p.dtype).tiny)
    return (log_p.exp() * (log_p.clamp(min=least) - log_q.clamp(min=least))).sum(-1)


def directions(x: Tensor) -> Tensor:
    """Rows `(n, *event)` at length 1."""
    return normalize(x.flatten(1), dim=1).reshape(x.shape)


def near_distance(x: Tensor) -> Tensor:
    """The distance of a row to one of the nearest 4 % of its batch, a mean over rows; 0 for a row that is alone.

    >>> near_distance(torch.tensor([[0.0], [1.0], [5.0]]))
    tensor(2.)
    """
    rows = x.detach().flatten(1)
    rank = min(len(rows) - 1, max(1, len(rows) // RANK))
    return torch.cdist(rows, rows).kthvalue(rank + 1, dim=1).values.mean()


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Batch normalisation does not learn its running statistics inside the block, where rows are not the data."""
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    before = [layer.momentum for layer in layers]
    counts = [layer.num_batches_tracked for layer in layers]
    for layer in layers:
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, momentum, count in zip(layers, before, counts, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count
