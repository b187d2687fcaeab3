"""Players: who moves which parameters, and to what end. Mostly there is one; an adversary makes two."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vaekit.core import VAE
from vaekit.objectives import Objective, Schedule, Step, Terms
from vaekit.train.ranks.shards import is_sharded, like, piece, whole

TINY = 1e-6
"""Added to a length that is divided by, as torch does."""


@dataclass(frozen=True)
class Limits:
    """How long a gradient may be: a longer one than `clip` is scaled down to it, one longer than `skip` is not used."""

    clip: float | None = None
    skip: float | None = None

    @property
    def measured(self) -> bool:
        """Whether anything depends on the gradient's length."""
        return self.clip is not None or self.skip is not None


@dataclass(frozen=True)
class Player:
    """Parameters, the optimiser that moves them, and the term they are to make large."""

    parameters: list[nn.Parameter]
    optimizer: Optimizer
    goal: Callable[[Terms], Tensor]

    @property
    def moved(self) -> list[nn.Parameter]:
        """The parameters that are not frozen."""
        return [weight for weight in self.parameters if weight.requires_grad]

    def move(self, limits: Limits) -> None:
        """One step of the optimiser along a gradient of a length that is allowed."""
        if not limits.measured:
            self.optimizer.step()
            return
        norm = shortened(self.moved, math.inf if limits.clip is None else limits.clip)
        if limits.skip is None:
            self.optimizer.step()
        else:
            self._step_where(norm <= limits.skip)

    def _step_where(self, allowed: Tensor) -> None:
        """Take a step, and take it back where it was not allowed; nothing waits for the device to say which.

        The state of an optimiser begins at zero, so that is what a first step is taken back to.
        """
        before = {key: value.clone() for key, value in self._values()}
        self.optimizer.step()
        for key, value in self._values():
            kept = before[key] if key in before else torch.zeros_like(value)
            value.copy_(torch.where(allowed.to(value.device), value, kept))

    @property
    def never_moved(self) -> bool:
        """Whether every step was taken back, as an optimiser tells that keeps a state of its weights."""
        states = [value for (_, name), value in self._values() if name]
        return bool(states) and not any(bool(value.any()) for value in states)

    def _values(self) -> Iterator[tuple[tuple[int, str], Tensor]]:
        """The weights and the optimiser's state of each."""
        for number, weight in enumerate(self.moved):
            yield (number, ""), piece(weight.detach())
            for name, value in self.optimizer.state[weight].items():
                if isinstance(value, Tensor):
                    yield (number, name), piece(value)

    def load(self, state: dict[str, Any]) -> None:
        """Take over the state of an optimiser; the learning rate, which is set at each step, stays where it is."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        kept = {
            number: {name: like(value, weights[number]) for name, value in own.items()}
            for number, own in state["state"].items()
        }
        self.optimizer.load_state_dict({**state, "state": kept})
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def set_rate(self, rate: Schedule, step: Step, done: int) -> None:
        """Set the optimiser's learning rate: on the device where it is a tensor there, else from Python's own count.

        Either way nothing waits for the device.
        """
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].copy_(rate(step.count))
            else:
                group["lr"] = float(rate(torch.tensor(done)))


def shortened(weights: Sequence[nn.Parameter], longest: float) -> Tensor:
    """Scale the gradient of all these weights together down to a length; answers with the length that it had.

    >>> weight = nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> float(shortened([weight], longest=1.0)), weight.grad
    (5.0, tensor([0.6000, 0.8000]))
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    kinds = [[gradient for gradient in gradients if is_sharded(gradient) is kind] for kind in (False, True)]
    norms = [whole(nn.utils.get_total_norm(kind)) for kind in kinds if kind]
    norm = norms[0] if len(norms) == 1 else nn.utils.get_total_norm(norms)
    torch._foreach_mul_([piece(gradient) for gradient in gradients], (longest / (norm + TINY)).clamp(max=1.0))
    return norm


def players_of(
    model: VAE, objective: Objective, make_optimizer: Callable[[list[nn.Parameter]], Optimizer]
) -> tuple[Player, ...]:
    """The model, with what else the objective learns, and the objective's rivals, where it has any."""
    rivals = objective.rivals()
    known = {id(parameter) for parameter in rivals}
    own = [weight for weight in nn.ModuleList([model, objective]).parameters() if id(weight) not in known]
    sides = [(own, attrgetter("value")), (rivals, attrgetter("rival"))]
    return tuple(Player(weights, make_optimizer(weights), goal) for weights, goal in sides if weights)


def differentiate(players: Sequence[Player], terms: Terms, weight: Tensor | float = 1.0) -> None:
    """Give each player's parameters the gradient of its own goal, times a weight, all from one forward pass."""
    for parameter in chain.from_iterable(player.parameters for player in players):
        parameter.grad = None
    alone = len(players) == 1
    for player in players:
        loss = -weight * player.goal(terms).mean()
        loss.backward(inputs=None if alone else player.moved, retain_graph=player is not players[-1])
