"""Adversaries: discriminators that play against a model, and the objectives they make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from vaekit.core.context import LEAD, apply_folded
from vaekit.core.latent import draw
from vaekit.core.notation import Formula, Symbol
from vaekit.core.trace import Batch, Trace
from vaekit.objectives.notation import Weighed
from vaekit.objectives.objective import OverBatch, Rival, Step, Terms, TraceObjective
from vaekit.objectives.penalty import Accompanied, OfOneLatent
from vaekit.objectives.schedules import Schedule, schedule


class Stakes(NamedTuple):
    """What a round of the game comes to, `(batch,)` each: the model's loss, and the adversary's gain."""

    loss: Tensor
    gain: Tensor


class Adversary(Rival, ABC):
    """A player against the model: `Elbo() + FactorDiscriminator(...)`.

    The loss is subtracted from the objective's value, which the model maximises; the adversary's parameters maximise
    the gain. Training lets neither player's gradient reach the other's parameters, so both may come of one graph.
    """

    @abstractmethod
    def forward(self, trace: Trace, batch: Batch, step: Step) -> Stakes:
        """What is at stake in this batch."""

    def __radd__(self, objective: TraceObjective) -> Opposed:
        """The objective with this adversary against it."""
        return Opposed(objective, self) if isinstance(objective, TraceObjective) else NotImplemented


class Opposed(Accompanied):
    """An objective less what an adversary takes from it, of one and the same trace. Its value is not a bound.

    >>> import torch
    >>> from vaekit.objectives import Elbo
    >>> from vaekit.recipes import build
    >>> model, objective = build("factor_vae", (6,), latent=2)
    >>> terms = objective(model, Batch(torch.rand(8, 6)), Step.first())
    >>> terms.rival.shape, len(objective.rivals()) > 0
    (torch.Size([8]), True)
    """

    def of(self, trace: Trace, batch: Batch, step: Step) -> Terms:
        terms = self.objective.of(trace, batch, step)
        loss, gain = self.beside(trace, batch, step)
        return replace(terms, value=terms.value - loss, rival=gain if terms.rival is None else terms.rival + gain)


class LatentDiscriminator(OfOneLatent, Adversary):
    """A net that tells the codes of one latent from others.

    Args:
        net: from codes `(n, *event)` to a number each, `(n, 1)` or `(n,)`: the log-odds.
        weight: of the model's loss, a number or a `Schedule`.
        latent: the name of the latent.
    """

    def __init__(self, net: nn.Module, weight: float | Schedule = 1.0, latent: str = "z") -> None:
        super().__init__(weight, latent)
        self.net = net

    @abstractmethod
    def play(self, trace: Trace) -> Stakes:
        """What is at stake, before the weight; each `(sample, batch)`."""

    def forward(self, trace: Trace, batch: Batch, step: Step) -> Stakes:
        self.demand(trace.model)
        loss, gain = self.play(trace)
        return Stakes(self.weight(step.count) * loss.mean(0), gain.mean(0))

    def log_odds(self, codes: Tensor) -> Tensor:
        """The net's output, `(sample, batch)`."""
        return apply_folded(self.net, [codes]).reshape(codes.shape[:LEAD])


class FactorDiscriminator(OverBatch, LatentDiscriminator):
    r"""Tells draws of the aggregate posterior from draws of the product of its coordinates' own.

    At its best its log-odds are :math:`\log q(z) - \sum_d \log q(z_d)`, whose mean is the total correlation: the
    model's loss. Draws of the product are made by shuffling each coordinate over the batch (over several ranks, each
    rank's share of it). The loss is worth what the discriminator has learnt so far: it is no estimate to report.

    Source: Kim and Mnih, 2018 (FactorVAE).
    """

    def play(self, trace: Trace) -> Stakes:
        codes = trace.latents[self.latent].value
        joint, product = self.log_odds(codes), self.log_odds(shuffled_coordinates(codes.detach()))
        return Stakes(joint, (logsigmoid(joint) + logsigmoid(-product)) / 2)

    def formula(self, name: str) -> Formula:
        weighed = Weighed.by(self.weight, "γ", f"E_q[D({self.latent})]")
        told = f"adversary's log-odds that {self.latent} is a code, and not one of coordinates shuffled over the batch"
        return Formula(name, "=", weighed.text, symbols=(*weighed.symbols, Symbol("D", told)))


class CodeDiscriminator(LatentDiscriminator):
    """Tells draws of the prior from codes; the model is charged where its codes are found out.

    Source: Makhzani et al., 2016 (adversarial autoencoder).
    """

    def play(self, trace: Trace) -> Stakes:
        term = trace.latents[self.latent]
        codes = self.log_odds(term.value)
        prior = self.log_odds(draw(term.prior, (term.value.shape[0], term.value.shape[1])).value.detach())
        return Stakes(-logsigmoid(codes), (logsigmoid(prior) + logsigmoid(-codes)) / 2)

    def formula(self, name: str) -> Formula:
        weighed = Weighed.by(self.weight, "γ", f"E_q[−log σ(D({self.latent}))]")
        told = f"adversary's log-odds that {self.latent} is a draw of the prior, and not a code"
        return Formula(name, "=", weighed.text, symbols=(*weighed.symbols, Symbol("D", told)))


def shuffled_coordinates(codes: Tensor) -> Tensor:
    """Each coordinate of `(sample, batch, *event)` in an order of its own over the batch.

    >>> codes = torch.arange(6.0).reshape(1, 3, 2)
    >>> sorted(shuffled_coordinates(codes)[0, :, 1].tolist())
    [1.0, 3.0, 5.0]
    """
    return codes.gather(1, torch.rand_like(codes).argsort(1))


class Critic(Adversary):
    r"""Tells data from what the decoder makes, and measures likeness by the features it does so by.

    .. math:: loss = \frac{w}{2} E_q \|f(x) - f(\tilde x)\|^2
        - \frac{\gamma}{2} [\log D(\tilde x) + \log D(x_p)], \qquad
        gain = \log D(x) + \frac{1}{2} [\log(1 - D(\tilde x)) + \log(1 - D(x_p))]

    of reconstructions :math:`\tilde x` and of draws :math:`x_p` from the prior, each the mean of x. The game is the
    decoder's alone: codes are held fixed in it. Larsen et al. leave the model's own likelihood out; beside an `Elbo` it
    stays, and the model remains one whose ELBO means something.

    Args:
        features: f, a net from data `(n, *event)` to features `(n, f)`.
        head: a net from features to the log-odds `(n, 1)` of being data.
        likeness: w, the weight of the distance of features.
        gamma: the weight of the game.

    Source: Larsen, Sønderby, Larochelle and Winther, 2016 (VAE-GAN).
    """

    def __init__(
        self,
        features: nn.Module,
        head: nn.Module,
        likeness: float | Schedule = 1.0,
        gamma: float | Schedule = 1.0,
    ) -> None:
        super().__init__()
        self.features = features
        self.head = head
        self.likeness, self.gamma = schedule(likeness), schedule(gamma)

    def forward(self, trace: Trace, batch: Batch, step: Step) -> Stakes:
        seen, rebuilt = self.seen(batch.x.unsqueeze(0)), self.seen(trace.likelihood.mean)
        unlike = (rebuilt - seen).square().sum(-1).mean(0) / 2
        fakes = [self.log_odds(self.seen(fake)) for fake in made_by_decoder(trace, batch)]
        passed, caught = (sum(logsigmoid(sign * fake).mean(0) for fake in fakes) / 2 for sign in (1, -1))
        gain = logsigmoid(self.log_odds(seen)).mean(0) + caught
        return Stakes(self.likeness(step.count) * unlike - self.gamma(step.count) * passed, gain)

    def seen(self, x: Tensor) -> Tensor:
        """Features of data, `(sample, batch, f)`."""
        return apply_folded(self.features, [x])

    def log_odds(self, features: Tensor) -> Tensor:
        """The log-odds of being data, `(sample, batch)`."""
        return apply_folded(self.head, [features]).squeeze(-1)

    def extra_repr(self) -> str:
        return f"likeness={self.likeness}, gamma={self.gamma}"

    def formula(self, name: str) -> Formula:
        likeness = Weighed.by(self.likeness, "w", "E_q‖f(x) − f(x′)‖² / 2")
        game = Weighed.by(self.gamma, "γ", "[log σ(D(x′)) + log σ(D(x″))] / 2")
        told = (
            Symbol("D", "adversary's log-odds of being data, from its features f"),
            Symbol("x′, x″", "means of x at a code, and at a draw of the prior"),
        )
        body = " − ".join(text for text in (likeness.text, game.text) if text)
        return Formula(name, "=", f"({body})", symbols=(*likeness.symbols, *game.symbols, *told))


def made_by_decoder(trace: Trace, batch: Batch) -> tuple[Tensor, Tensor]:
    """Means of x, `(sample, batch, *event)`: of the codes of a trace, held fixed, and of draws from the prior."""
    model = trace.model
    fixed = {name: value.detach() for name, value in trace.values.items()}
    conditions = {name: batch.given[name] for name in model.conditions}
    return model.retrace(fixed, {}).likelihood.mean, model.sample(len(batch), conditions).mean.unsqueeze(0)
