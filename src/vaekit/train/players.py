"""Players: who moves which parameters, and to what end. Mostly there is one; an adversary makes two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from torch import Tensor, nn
from torch.optim import Optimizer

from vaekit.core import VAE
from vaekit.objectives import Objective, Terms


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

    def clip(self, norm: float) -> None:
        """Scale a longer gradient down to this norm."""
        nn.utils.clip_grad_norm_(self.parameters, norm)

    def set_rate(self, rate: float) -> None:
        """Set the optimiser's learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate


def players_of(
    model: VAE, objective: Objective, make_optimizer: Callable[[list[nn.Parameter]], Optimizer]
) -> tuple[Player, ...]:
    """The model, with what else the objective learns, and the objective's rivals, where it has any."""
    rivals = objective.rivals()
    known = {id(parameter) for parameter in rivals}
    own = [weight for weight in nn.ModuleList([model, objective]).parameters() if id(weight) not in known]
    sides = [(own, attrgetter("value")), (rivals, attrgetter("rival"))]
    return tuple(Player(weights, make_optimizer(weights), goal) for weights, goal in sides if weights)


def differentiate(players: Sequence[Player], terms: Terms) -> None:
    """Give each player's parameters the gradient of its own goal, all from one forward pass."""
    for player in players:
        player.optimizer.zero_grad(set_to_none=True)
    alone = len(players) == 1
    for player in players:
        loss = -player.goal(terms).mean()
        loss.backward(inputs=None if alone else player.moved, retain_graph=player is not players[-1])
