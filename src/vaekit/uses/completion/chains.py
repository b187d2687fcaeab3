"""Chains: completions of rows with holes that move towards draws from p(x_mis | x_obs)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.core import VAE, Context
from vaekit.core.context import as_given
from vaekit.evaluate.inference import Inference
from vaekit.families.missing import Cells, FillsHoles, cells_of


@dataclass(frozen=True)
class State:
    """Where chains stand: completed rows, and latents that explain them, `(chain * batch, *event)` each."""

    x: Tensor
    latents: Context


@dataclass(frozen=True)
class Explanation:
    """What a model says of a state: of its rows and latents together, and of other rows by the same latents."""

    log_joint: Tensor
    """log p(x, z) of the complete rows, `(chain * batch,)`."""
    likelihood: Distribution

    @property
    def cells(self) -> Cells:
        """p(x | z)."""
        return cells_of(self.likelihood)

    def log_missing(self, x: Tensor, missing: Tensor) -> Tensor:
        """log p(s | x), `(chain * batch,)`: 0 where missing is at random."""
        if isinstance(self.likelihood, FillsHoles):
            return self.likelihood.log_missing(x.unsqueeze(0), missing.unsqueeze(0))[0]
        return x.new_zeros(len(x))


@dataclass(frozen=True)
class Walk:
    r"""Moves that leave p(z, x_mis | x_obs) as it is, Metropolis within Gibbs.

    First new latents are proposed from the encoder, :math:`z' \sim q(z \mid x)` of the row as it is completed now, and
    accepted with probability

    .. math:: \min\left(1, \frac{p(x, z') \, q(z \mid x)}{p(x, z) \, q(z' \mid x)}\right),

    then the holes are drawn anew, :math:`x'_{mis} \sim p(x_{mis} \mid z)`, and accepted with probability
    :math:`\min(1, p(s | x') / p(s | x))`: always, where missing is at random.

    Source: Mattei and Frellsen, 2018; with missing not at random, the second step is ours.
    """

    model: VAE
    missing: Tensor
    """Where the holes are, `(chain * batch, *event)`."""
    given: Context

    def refilled(self, state: State) -> State:
        """The holes drawn anew, by the same latents."""
        explanation = self._explanation(state.x, state.latents)
        return replace(state, x=self._refilled(state.x, explanation, self._draw(explanation)))

    def moved(self, state: State) -> tuple[State, Tensor]:
        """The next state, and which proposals were accepted, `(chain * batch,)`."""
        proposed = {name: draw.value[0] for name, draw in self.model.posterior(state.x, 1, self.given).items()}
        now, then = (self._explanation(state.x, latents) for latents in (state.latents, proposed))
        inference = Inference(self.model, state.x, self.given)
        back, forth = (self._log_posterior(inference, latents) for latents in (state.latents, proposed))
        accepted = _accepted(then.log_joint - now.log_joint + back - forth)
        latents = {name: _chosen(accepted, proposed[name], value) for name, value in state.latents.items()}
        drawn = _chosen(accepted, self._draw(then), self._draw(now))
        return State(self._refilled(state.x, now, drawn), latents), accepted

    def _explanation(self, x: Tensor, latents: Context) -> Explanation:
        trace = self.model.retrace(as_given({"x": x, **self.given, **latents}), {})
        priors = sum((term.log_prior for term in trace.latents.values()), x.new_zeros(()))
        log_joint = cells_of(trace.likelihood).log_prob(x.unsqueeze(0)) + priors
        return Explanation(log_joint.expand(1, len(x))[0], trace.likelihood)

    @staticmethod
    def _log_posterior(inference: Inference, latents: Mapping[str, Tensor]) -> Tensor:
        return sum(inference.log_probs(as_given(latents)).values(), torch.zeros(()))[0]

    def _draw(self, explanation: Explanation) -> Tensor:
        return explanation.cells.sample().expand(1, *self.missing.shape)[0]

    def _refilled(self, x: Tensor, explanation: Explanation, drawn: Tensor) -> Tensor:
        """Rows with a draw in each hole, where what made the holes lets it."""
        proposed = torch.where(self.missing, drawn, x)
        gain = explanation.log_missing(proposed, self.missing) - explanation.log_missing(x, self.missing)
        return _chosen(_accepted(gain), proposed, x)


def _accepted(log_ratio: Tensor) -> Tensor:
    return torch.rand_like(log_ratio).log() < log_ratio


def _chosen(accepted: Tensor, proposed: Tensor, value: Tensor) -> Tensor:
    return torch.where(accepted.reshape(-1, *[1] * (value.dim() - 1)), proposed, value)


class Moments:
    """Means and variances of chains, gathered step by step, about where they started."""

    def __init__(self, start: Tensor) -> None:
        self.start = start.mean(0, keepdim=True).double()
        self.sum = torch.zeros_like(start, dtype=torch.float64)
        self.squares = torch.zeros_like(self.sum)
        self.count = 0

    def add(self, x: Tensor) -> None:
        """A step of all chains, `(chain, batch, *event)`."""
        off = x.double() - self.start
        self.sum += off
        self.squares += off.square()
        self.count += 1

    @property
    def mean(self) -> Tensor:
        """Of each chain."""
        return self.start + self.sum / self.count

    @property
    def variance(self) -> Tensor:
        """Of each chain."""
        return (
            (self.squares / self.count - (self.sum / self.count).square()).clamp(min=0)
            * self.count
            / max(self.count - 1, 1)
        )


def shrink_factor(first: Moments, second: Moments) -> Tensor:
    r"""Split :math:`\hat R` of each cell from both halves of each chain, `(batch, *event)`: near 1 where chains agree.

    .. math:: \hat R = \sqrt{\frac{(n - 1) / n \, W + B / n}{W}}

    W is the mean variance within half-chains of n steps, B / n the variance of their means. It is 1 where nothing
    moves because there is one value, and infinite where chains stay apart without moving.

    Source: Gelman and Rubin, 1992; Gelman et al., 2013 (the split).
    """
    within = torch.cat([first.variance, second.variance]).mean(0)
    between = torch.cat([first.mean, second.mean]).var(0)
    n = first.count
    ratio = (n - 1) / n + between / within
    return torch.where(between == 0, torch.ones_like(ratio), ratio).sqrt()
