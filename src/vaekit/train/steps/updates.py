"""Optimiser updates: the one step that is repeated."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from vaekit.core import VAE, Batch
from vaekit.objectives import Objective, Step, Terms
from vaekit.objectives.schedules import schedule
from vaekit.train.average import Average
from vaekit.train.ranks.shards import load_weights, together
from vaekit.train.ranks.strategy import OneRank, Strategy
from vaekit.train.ranks.world import ALONE
from vaekit.train.settings import Settings
from vaekit.train.steps.compiled import Compiled
from vaekit.train.steps.players import differentiate, players_of


class Updates:
    """A model, its objective and its players, and how far they have come: schedules, clipping and averaging.

    Over several ranks a strategy keeps them together.
    """

    def __init__(
        self,
        model: VAE,
        objective: Objective,
        settings: Settings,
        device: torch.device,
        strategy: Strategy = OneRank(ALONE),  # noqa: B008
    ) -> None:
        self.model, self.objective, self.settings, self.strategy = model, objective, settings, strategy
        self.rate = schedule(settings.learning_rate)
        self.done = 0
        self.step = Step.first(device)
        self.average = None if settings.ema is None else Average(model, settings.ema)
        for each in (model, *([self.average.model] if self.average else [])):
            strategy.spread(each)
        self.players = players_of(model, objective, self._optimizer)
        alone = strategy.world.size == 1
        self.compiled = Compiled(model, objective, self.differentiated) if settings.compile and alone else None

    @property
    def words(self) -> list[str]:
        """What there is to say of how gradients are made."""
        if self.compiled is not None:
            return [self.compiled.words]
        return ["not compiled (several ranks)"] if self.settings.compile else []

    def differentiated(self, batch: Batch, step: Step) -> Terms:
        """The terms of a batch, and the gradient of each player's goal left at its weights."""
        terms: Terms = self.objective(self.model, batch, step)
        differentiate(self.players, terms, self.strategy.weight(batch.counted))
        return terms

    def _optimizer(self, weights: list[nn.Parameter]) -> Optimizer:
        first, *others = self.strategy.groups(weights)
        optimizer = self.settings.make_optimizer(first, self.learning_rate)
        for group in others:
            optimizer.add_param_group({"params": group})
        return optimizer

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update."""
        return float(self.rate(torch.tensor(self.done)))

    @property
    def none_taken(self) -> bool:
        """Whether every update so far was skipped, for a gradient that is too long."""
        return self.settings.skip is not None and any(player.never_moved for player in self.players)

    @property
    def evaluated(self) -> VAE:
        """The model whose weights are evaluated and kept, as it was gathered: the average, where there is one."""
        return self.strategy.whole(self._kept)

    @property
    def _kept(self) -> VAE:
        return self.model if self.average is None else self.average.model

    def gather(self) -> None:
        """Bring together the weights that are evaluated and kept, and make sure that all ranks agree; all have to."""
        self.strategy.compare(self.model, self.objective)
        self.strategy.gather(self._kept)

    def state(self) -> dict[str, Any]:
        """What every later update depends on, random numbers apart; of several ranks each has to ask."""
        state: dict[str, Any] = together(
            {
                "done": self.done,
                "model": self.model.state_dict(),
                "objective": self.objective.state_dict(),
                "average": None if self.average is None else self.average.state(),
                "players": [player.optimizer.state_dict() for player in self.players],
            }
        )
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self.done = state["done"]
        self.step.count.fill_(self.done)
        load_weights(self.model, state["model"])
        self.objective.load_state_dict(state["objective"])
        if self.average is not None:
            self.average.load(state["average"])
        for player, own in zip(self.players, state["players"], strict=True):
            player.load(own)
        self.strategy.gather(self._kept)

    def update(self, batch: Batch) -> Terms:
        """One step of every player towards a larger mean of its goal over the batch."""
        terms = (self.compiled or self.differentiated)(batch, self.step)
        self.strategy.pool(self.model, [weight for player in self.players for weight in player.moved], batch.counted)
        for player in self.players:
            player.set_rate(self.rate, self.step, self.done)
            player.move(self.settings.limits)
        if self.average is not None:
            self.average.update(self.model)
        self.done += 1
        self.step.count.add_(1)
        return terms
