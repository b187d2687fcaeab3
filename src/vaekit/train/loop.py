"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vaekit.common.errors import TrainingDiverged
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch
from vaekit.core.meeting import introduce
from vaekit.objectives import Elbo, Objective, Step, Terms
from vaekit.objectives.schedules import schedule
from vaekit.train.batches import Resident
from vaekit.train.history import Epoch, Observer, Plan
from vaekit.train.labels import labels_wanted
from vaekit.train.means import Ledger, Means, first_fault_of_weights, latent_names, mean_terms
from vaekit.train.players import Player, differentiate, players_of
from vaekit.train.settings import Settings
from vaekit.train.stopping import Best

Tensors = tuple[Tensor, ...] | list[Tensor]
MEND = "try a smaller learning rate, clip=1.0, or data on a smaller scale"


@dataclass(frozen=True)
class Trained:
    """A trained model, in evaluation mode, with the weights that are to be kept, and its history."""

    model: VAE
    history: tuple[Epoch, ...]
    best_epoch: int

    @property
    def seconds(self) -> float:
        """Time spent in epochs."""
        return sum(epoch.seconds for epoch in self.history)

    @property
    def examples_per_second(self) -> float:
        """Training examples seen for each second of an epoch."""
        return sum(epoch.examples for epoch in self.history) / self.seconds


class Updates:
    """Optimiser updates: the one step that is repeated, with its schedules, clipping and averaging."""

    def __init__(self, model: VAE, objective: Objective, settings: Settings, device: torch.device) -> None:
        self.model, self.objective, self.settings = model, objective, settings
        self.rate = schedule(settings.learning_rate)
        self.done = 0
        self.step = Step.first(device)
        self.players = players_of(model, objective, partial(settings.make_optimizer, rate=self.learning_rate))
        self.average = _average(model, settings.ema)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update."""
        return float(self.rate(torch.tensor(self.done)))

    @property
    def evaluated(self) -> VAE:
        """The model whose weights are evaluated and kept: the average, where there is one."""
        averaged = self.model if self.average is None else self.average.module
        assert isinstance(averaged, VAE)
        return averaged

    def update(self, batch: Batch) -> Terms:
        """One step of every player towards a larger mean of its goal over the batch."""
        terms: Terms = self.objective(self.model, batch, self.step)
        differentiate(self.players, terms)
        for player in self.players:
            self._move(player)
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.done += 1
        self.step.count.add_(1)
        return terms

    def _move(self, player: Player) -> None:
        if self.settings.clip is not None:
            player.clip(self.settings.clip)
        player.set_rate(self.learning_rate)
        player.optimizer.step()


def _average(model: VAE, decay: float | None) -> AveragedModel | None:
    if decay is None:
        return None
    return AveragedModel(model, multi_avg_fn=_moving_average(decay), use_buffers=True)


def _moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Moves averages towards the current values; whole numbers and flags are taken over, as a mean would round them."""
    move = get_ema_multi_avg_fn(decay)

    def update(averages: Tensors, current: Tensors, count: Tensor | int) -> None:
        if averages[0].is_floating_point():
            move(averages, current, count)
            return
        for average, value in zip(averages, current, strict=True):
            average.copy_(value)

    return update


class Run:
    """A run over one data set: epochs of updates, what is held out after each, and who watches."""

    def __init__(
        self,
        updates: Updates,
        training: Resident,
        held_out: Resident | None,
        observers: Sequence[Observer],
    ) -> None:
        self.updates, self.training, self.held_out = updates, training, held_out
        self.observers = observers
        self.history: list[Epoch] = []

    def epochs(self, max_epochs: int, best: Best) -> None:
        """Train until the last epoch, or until patience is over."""
        for number in range(1, max_epochs + 1):
            epoch = self._epoch(number)
            self.history.append(epoch)
            if self.held_out is not None:
                best.consider(number, epoch.score, self.updates.evaluated)
            for observer in self.observers:
                observer.epoch(epoch, self.updates.evaluated)
            if self.held_out is not None and best.patience_is_over(number):
                break

    def _epoch(self, number: int) -> Epoch:
        rate, started = self.updates.learning_rate, time.perf_counter()
        train = self._learn(number)
        seconds = time.perf_counter() - started
        epoch = Epoch(number, train, self._look(), rate, seconds, self.training.examples)
        if not math.isfinite(epoch.score):
            raise TrainingDiverged(number, len(self.training), "the held-out ELBO", MEND)
        return epoch

    def _learn(self, number: int) -> Means:
        ledger = Ledger(len(self.training), self.training.x.device)
        for batch in self.training.shuffled():
            ledger.add(self.updates.update(batch))
            for observer in self.observers:
                observer.batch(len(batch))
        self._refuse_faults(ledger, number)
        return ledger.means(latent_names(self.updates.model))

    def _refuse_faults(self, ledger: Ledger, epoch: int) -> None:
        if fault := ledger.first_fault():
            batch, term = fault
            raise TrainingDiverged(epoch, batch + 1, term, MEND)
        if name := first_fault_of_weights(self.updates.model):
            raise TrainingDiverged(epoch, len(self.training), f"the gradient of {name}", MEND)

    def _look(self) -> Means | None:
        """The plain ELBO of what is held out, by the same draws every time."""
        if self.held_out is None:
            return None
        with seeded(self.updates.settings.seed, self.held_out.x.device):
            return mean_terms(self.updates.evaluated, Elbo(), self.held_out, self.updates.step)


def train(
    model: VAE,
    objective: Objective,
    training: Resident,
    held_out: Resident | None = None,
    settings: Settings = Settings(),  # noqa: B008
    observers: Sequence[Observer] = (),
) -> Trained:
    """Train a model by an objective, from the settings' seed, leaving the global random state as it was.

    Labels of the data reach a model that reads them: one with a declared `Condition`, or with a latent `y` that the
    objective sums out, where a label of -1 is one that is not known.

    Raises `TrainingDiverged` with the epoch, the step and the term that stopped being finite, `UsageError` where the
    objective is not made for the model, and `DataError` for labels that the model does not read.
    """
    device = training.x.device
    best = Best(settings.patience)
    with seeded(settings.seed, device):
        objective.check(model)
        introduce(model.to(device), training.rows)
        updates = Updates(model.to(device).train(), objective.to(device), settings, device)
        run = Run(updates, training.labelled(labels_wanted(model, objective)), held_out, observers)
        _watched(run, settings.max_epochs, best)
    kept = updates.evaluated
    if held_out is not None:
        best.restore(kept)
    return Trained(kept.eval(), tuple(run.history), best.epoch or len(run.history))


def _watched(run: Run, max_epochs: int, best: Best) -> None:
    plan = Plan(max_epochs, len(run.training), run.training.examples)
    for observer in run.observers:
        observer.begin(plan)
    try:
        run.epochs(max_epochs, best)
    finally:
        for observer in run.observers:
            observer.end()
