"""Priors fitted after training to codes: what kinds there are, and how each is fitted."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from vaekit.common.errors import DataError, UsageError
from vaekit.common.registry import Registry
from vaekit.core.conditional import Conditional
from vaekit.core.context import NOTHING
from vaekit.families import FullNormal
from vaekit.families.scale import SMALLEST, unpositive
from vaekit.flows import FLOWS, Flow
from vaekit.flows.bijection import set_standard, standardised
from vaekit.priors.autoregressive_mixture import AutoregressiveMixture
from vaekit.priors.em import Gaussians, em
from vaekit.priors.learned import LearnedPrior
from vaekit.priors.mixture import LearnedMixture
from vaekit.priors.standard import standard_normal

HELD_OUT = 0.1
"""Share of the codes that chooses among fits and says when to stop."""
STEEPEST = 10.0
"""Largest norm of the gradient of an autoregressive fit, which a code far out may exceed."""
LOOKS = 20
"""How often a fit of so many updates is held against them."""


class PriorFit(ABC):
    """A kind of prior that is fitted to codes; a frozen dataclass of settings that a config file can hold."""

    @abstractmethod
    def fit(self, codes: Tensor) -> Fitted:
        """The prior fitted to codes `(n, *event)`, by draws from torch's current generator."""

    @abstractmethod
    def blank(self, event_shape: Size) -> Conditional:
        """A prior of this kind that is not fitted, to take up saved weights."""


class Fitted(NamedTuple):
    """A fitted prior, and the kind that makes blanks of its very shape: with what was left open decided."""

    prior: Conditional
    kind: PriorFit


@dataclass(frozen=True)
class NormalFit(PriorFit):
    """One normal with full covariance: the mean and the covariance of the codes.

    >>> codes = torch.randn(1000, 2) @ torch.tensor([[2.0, 0.0], [1.0, 0.5]])
    >>> prior, _ = NormalFit().fit(codes)
    >>> torch.testing.assert_close(prior({}).covariance_matrix[0, 0], codes.T.cov(), rtol=1e-2, atol=1e-3)
    """

    def fit(self, codes: Tensor) -> Fitted:
        """The normal with the codes' moments."""
        moments = em(_points(codes), 1).mixture
        prior = self.blank(codes.shape[1:])
        with torch.no_grad():
            prior.params.copy_(full_normal_params(moments)[None])
        return Fitted(prior.to(codes), self)

    def blank(self, event_shape: Size) -> LearnedPrior:
        """A standard normal with room for a covariance."""
        return LearnedPrior(FullNormal(), event_shape)


@dataclass(frozen=True)
class MixtureFit(PriorFit):
    """A mixture of normals with full covariance, by EM; of several numbers of components the one with the best
    held-out likelihood.

    >>> codes = torch.cat([torch.randn(200, 1) - 4, torch.randn(200, 1) + 4])
    >>> prior, kind = MixtureFit((1, 2)).fit(codes)
    >>> kind.components
    (2,)
    """

    components: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    restarts: int = 3
    iterations: int = 200

    def __post_init__(self) -> None:
        if not self.components or min(self.components) < 1 or self.restarts < 1 or self.iterations < 1:
            raise UsageError(f"{self}: name at least 1 of each")

    def fit(self, codes: Tensor) -> Fitted:
        """The best mixture of all numbers of components, each from several starts."""
        learn, held_out = _parted(_points(codes))
        numbers = [number for number in self.components if number <= len(learn)] or [1]
        fits = [self._climb(learn, number) for number in numbers]
        best = max(fits, key=lambda mixture: float(mixture.log_prob(held_out).mean()))
        kind = replace(self, components=(len(best.weights),))
        prior = kind.blank(codes.shape[1:])
        with torch.no_grad():
            prior.params.copy_(full_normal_params(best))
            prior.logits.copy_(best.weights.log())
        return Fitted(prior.to(codes), kind)

    def _climb(self, points: Tensor, components: int) -> Gaussians:
        ascents = [em(points, components, self.iterations) for _ in range(self.restarts)]
        return max(ascents, key=lambda ascent: ascent.climbed[-1]).mixture

    def blank(self, event_shape: Size) -> LearnedMixture:
        """A mixture of the (first) number of components."""
        return LearnedMixture(event_shape, self.components[0], FullNormal())


@dataclass(frozen=True)
class FlowFit(PriorFit):
    """A flow, by maximum likelihood, stopped where the held-out likelihood has not risen for `patience` epochs."""

    flow: str = "maf"
    epochs: int = 200
    patience: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.epochs, self.patience, self.batch_size) < 1 or not self.learning_rate > 0:
            raise UsageError(f"{self}: every number must be positive")

    def fit(self, codes: Tensor) -> Fitted:
        """The flow with the best held-out likelihood of all epochs."""
        learn, held_out = _parted(codes)
        flow = self.blank(codes.shape[1:]).to(codes)
        set_standard(flow.bijection, learn.flatten(1))
        return Fitted(self._climb(flow, learn, held_out), self)

    def _climb(self, flow: Flow, learn: Tensor, held_out: Tensor) -> Flow:
        optimizer = Adam(flow.parameters(), self.learning_rate)
        best, best_score, waited = copy.deepcopy(flow), _mean_log_prob(flow, held_out), 0
        for _ in range(self.epochs):
            for part in torch.randperm(len(learn), device=learn.device).split(self.batch_size):
                optimizer.zero_grad()
                (-flow(NOTHING).log_prob(learn[part]).mean()).backward()
                optimizer.step()
            score = _mean_log_prob(flow, held_out)
            waited += 1
            if score > best_score:
                best, best_score, waited = copy.deepcopy(flow), score, 0
            if waited >= self.patience:
                break
        return best

    def blank(self, event_shape: Size) -> Flow:
        """The flow over a standard normal, after standardising."""
        features = event_shape.numel()
        return Flow(standard_normal(event_shape), standardised(FLOWS[self.flow](features, 0)))


@dataclass(frozen=True)
class AutoregressiveFit(PriorFit):
    """Each coordinate a mixture of normals, given those before it, by maximum likelihood at a rate that falls along
    half a cosine; of the weights on the way, those that held-out codes like best. It ends early where they have not
    liked any better for `patience` twentieths of the way.

    >>> codes = torch.randn(200, 1).sign() * 4 + torch.randn(200, 1)
    >>> prior, _ = AutoregressiveFit(components=4, width=8, updates=50).fit(codes)
    >>> prior({}).sample().shape
    torch.Size([1, 1, 1])
    """

    components: int = 10
    width: int = 256
    updates: int = 4000
    batch_size: int = 256
    patience: int = 5
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        sizes = (self.components, self.width, self.updates, self.batch_size, self.patience)
        if min(sizes) < 1 or not self.learning_rate > 0:
            raise UsageError(f"{self}: every number must be positive")

    def fit(self, codes: Tensor) -> Fitted:
        """The weights with the best held-out likelihood of those looked at, twenty times."""
        learn, held_out = _parted(codes)
        prior = self.blank(codes.shape[1:]).to(codes)
        prior.settle(learn.flatten(1))
        return Fitted(self._climb(prior, learn, held_out), self)

    def _climb(self, prior: AutoregressiveMixture, learn: Tensor, held_out: Tensor) -> AutoregressiveMixture:
        optimizer = Adam(prior.parameters(), self.learning_rate)
        falling = CosineAnnealingLR(optimizer, self.updates)
        batches = _batches(learn, self.batch_size, self.updates)
        best, best_score, waited = prior, -math.inf, 0
        while waited < self.patience and (leg := list(islice(batches, math.ceil(self.updates / LOOKS)))):
            for part in leg:
                optimizer.zero_grad()
                (-prior(NOTHING).log_prob(part).mean()).backward()
                clip_grad_norm_(prior.parameters(), STEEPEST)
                optimizer.step()
                falling.step()
            score = _mean_log_prob(prior, held_out)
            waited += 1
            if score > best_score:
                best, best_score, waited = copy.deepcopy(prior), score, 0
        if best_score == -math.inf:
            raise DataError("no prior could be fitted to the codes: they lie too far apart, so train the model anew")
        return best

    def blank(self, event_shape: Size) -> AutoregressiveMixture:
        """A prior of the same size that has learned nothing."""
        return AutoregressiveMixture(event_shape, self.components, self.width)


def _batches(codes: Tensor, size: int, updates: int) -> Iterator[Tensor]:
    """So many batches: pass after pass over the codes, each in a new order."""
    made = 0
    while made < updates:
        for part in torch.randperm(len(codes), device=codes.device).split(size)[: updates - made]:
            made += 1
            yield codes[part]


PRIOR_FITS: Registry[type[PriorFit]] = Registry(
    "kind of fitted prior",
    {"normal": NormalFit, "mixture": MixtureFit, "flow": FlowFit, "autoregressive": AutoregressiveFit},
)


def _points(codes: Tensor) -> Tensor:
    """Codes for EM: vectors in float64, where sums of squares keep their digits."""
    if codes.dim() != 2:
        shape = tuple(codes.shape[1:])
        raise UsageError(f"a full covariance needs codes that are vectors, not of shape {shape}: fit a flow to them")
    return _checked(codes).double()


def _checked(codes: Tensor) -> Tensor:
    if len(codes) < 2:
        raise DataError(f"{len(codes)} codes: a prior is fitted to at least 2")
    if not codes.isfinite().all():
        raise DataError("codes that are not finite numbers: a prior cannot be fitted to them")
    return codes


def _parted(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Codes to learn from, and codes held out, at random."""
    shuffled = _checked(codes)[torch.randperm(len(codes), device=codes.device)]
    held_out = max(1, round(HELD_OUT * len(codes)))
    return shuffled[held_out:], shuffled[:held_out]


def _mean_log_prob(prior: Conditional, codes: Tensor) -> float:
    with torch.no_grad():
        return float(prior(NOTHING).log_prob(codes).mean())


def full_normal_params(mixture: Gaussians) -> Tensor:
    """The parameters of `FullNormal` for each component, `(K, D (D + 3) / 2)`."""
    factors = torch.linalg.cholesky(mixture.covariances)
    size = factors.shape[-1]
    row, column = torch.tril_indices(size, size, -1, device=factors.device)
    diagonal = factors.diagonal(dim1=1, dim2=2).clamp(min=2 * SMALLEST)
    return torch.cat([mixture.means, unpositive(diagonal), factors[:, row, column]], dim=1)
