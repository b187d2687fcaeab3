"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vaekit.common.errors import TrainingDiverged, UsageError
from vaekit.common.seeds import random_state, seeded, set_random_state
from vaekit.core import VAE
from vaekit.core.company import in_company
from vaekit.core.meeting import introduce
from vaekit.objectives import Objective
from vaekit.train.history import Epoch, Observer, Plan, Trained
from vaekit.train.judges import judge_of, judged
from vaekit.train.means import Ledger, Means, first_fault_of_weights, latent_names, mean_terms
from vaekit.train.ranks.strategy import strategy_of
from vaekit.train.ranks.world import ALONE, World
from vaekit.train.resume.keeper import Careless
from vaekit.train.rows.labels import labels_wanted
from vaekit.train.rows.source import Source, order_seed
from vaekit.train.settings import PRECISIONS, Settings
from vaekit.train.steps.updates import Updates
from vaekit.train.steps.ways import way_through
from vaekit.train.stopping import Best

MEND = "try a smaller learning rate, clip=1.0, or data on a smaller scale"


@dataclass
class Underway:
    """The epoch that a run is in: its first learning rate, what its batches have come to, and the time they took."""

    rate: float
    ledger: Ledger
    before: float = 0.0
    """Seconds spent on it before the run went on from a checkpoint."""
    since: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """The time spent on it so far."""
        return self.before + time.perf_counter() - self.since

    def state(self) -> dict[str, Any]:
        """Its numbers; what batches have come to is each process's own."""
        return {"rate": self.rate, "seconds": self.seconds}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self.rate, self.before = state["rate"], state["seconds"]


class Run:
    """A run over one data set: epochs of updates, what is held out after each, who watches and who keeps it."""

    def __init__(
        self,
        updates: Updates,
        training: Source,
        held_out: Source | None,
        observers: Sequence[Observer] = (),
        keeper: Careless = Careless(),  # noqa: B008
    ) -> None:
        self.updates, self.training, self.held_out = updates, training, held_out
        self.way = way_through(updates, training)
        self.observers, self.keeper = observers, keeper
        self.world = updates.strategy.world
        self.best = Best(updates.settings.patience)
        self.history: list[Epoch] = []
        self.underway = self._begun()

    @property
    def position(self) -> tuple[int, int]:
        """The epoch it is in, counted from 1, and how many batches of that epoch are done."""
        return len(self.history) + 1, len(self.underway.ledger)

    @property
    def plan(self) -> Plan:
        """What is about to be done, and what was done before."""
        batches = self.position[1] * self.training.batch_size
        seen = len(self.history) * self.training.examples + min(batches, self.training.examples)
        epochs = self.updates.settings.max_epochs
        return Plan(epochs, len(self.training), self.training.examples, seen, tuple(self.history))

    def state(self) -> dict[str, Any]:
        """What the rest of the run depends on, and is the same in every process."""
        return {
            "updates": self.updates.state(),
            "best": self.best.state(),
            "history": [epoch.as_record() for epoch in self.history],
            "underway": self.underway.state(),
        }

    def own_state(self) -> dict[str, Any]:
        """What else it depends on, that each process has its own of."""
        return {"ledger": self.underway.ledger.state(), "random": random_state(self.training.device)}

    def load(self, state: dict[str, Any], own: dict[str, Any]) -> None:
        """Go on from such states."""
        self.updates.load(state["updates"])
        self.best.load(state["best"])
        self.history = [Epoch.from_record(record) for record in state["history"]]
        self.underway.load(state["underway"])
        self.underway.ledger.load(own["ledger"])
        set_random_state(own["random"], self.training.device)

    def epochs(self) -> None:
        """Train until the last epoch, or until patience is over."""
        while len(self.history) < self.updates.settings.max_epochs and not self._patience_is_over:
            epoch = self._epoch(len(self.history) + 1)
            self.history.append(epoch)
            self.underway = self._begun()
            if self.held_out is not None:
                self.best.consider(epoch.number, epoch.score, self.updates.evaluated)
            for observer in self.observers:
                observer.epoch(epoch, self.updates.evaluated)
            self.keeper.after_epoch(self)
        self.keeper.after_all(self)

    @property
    def _patience_is_over(self) -> bool:
        return self.held_out is not None and self.best.patience_is_over(len(self.history))

    def _begun(self) -> Underway:
        return Underway(self.updates.learning_rate, Ledger(len(self.training), self.training.device))

    def _epoch(self, number: int) -> Epoch:
        self.underway.since = time.perf_counter()
        train = self._learn(number)
        rate, seconds = self.underway.rate, self.underway.seconds
        examples = self.underway.ledger.examples(self.world)
        epoch = Epoch(number, train, self._look(), rate, seconds, examples, self.way.words)
        if not math.isfinite(epoch.score):
            raise TrainingDiverged(number, len(self.training), f"the held-out {epoch.train.measure}", MEND)
        return epoch

    def _learn(self, number: int) -> Means:
        ledger, settings = self.underway.ledger, self.updates.settings
        with PRECISIONS[settings.precision].of(self.updates.model):
            for entries in self.way.epoch(order_seed(settings.seed, number), start=len(ledger)):
                ledger.enter(entries)
                for observer in self.observers:
                    observer.batch(sum(entries.sizes))
                self.keeper.after_update(self)
        self.refuse_faults()
        self._refuse_standstill()
        self.updates.gather()
        return ledger.means(latent_names(self.updates.model), self.world)

    def refuse_faults(self) -> None:
        """Raise `TrainingDiverged` where a term of this epoch or a weight is no finite number, on any rank."""
        epoch, batches = self.position
        found = self.world.collected(self.underway.ledger.first_fault())
        if faults := [fault for fault in found if fault]:
            batch, term = min(faults)
            raise TrainingDiverged(epoch, batch + 1, term, MEND)
        if name := first_fault_of_weights(self.updates.model):
            raise TrainingDiverged(epoch, batches, f"the gradient of {name}", MEND)

    def _refuse_standstill(self) -> None:
        if self.updates.none_taken:
            raise UsageError(
                f"skip is {self.updates.settings.skip:g}: no update was taken so far, as every gradient was longer; "
                "choose a larger one, or clip instead"
            )

    def _look(self) -> Means | None:
        """What is held out as its judge sees it, by the same draws every time."""
        if self.held_out is None:
            return None
        with seeded(self.updates.settings.seed, self.held_out.device):
            seed, step = self.updates.settings.seed, self.updates.step
            judge = judge_of(self.updates.objective)
            means = mean_terms(self.updates.evaluated, judge, self.held_out, step, self.world, seed)
            return judged(means, self.updates.objective)


def train(
    model: VAE,
    objective: Objective,
    training: Source,
    held_out: Source | None = None,
    settings: Settings = Settings(),  # noqa: B008
    observers: Sequence[Observer] = (),
    keeper: Careless = Careless(),  # noqa: B008
    world: World = ALONE,
) -> Trained:
    """Train a model by an objective, from the settings' seed, leaving the global random state as it was.

    In a world of several ranks each has sources of its own (`Source.shared`); the first one's observers alone are told.

    Labels of the data reach a model that reads them: one with a declared `Condition`, or with a latent `y` that the
    objective sums out, where a label of -1 is one that is not known.

    Raises `TrainingDiverged` with the epoch, the step and the term that stopped being finite, `UsageError` where the
    objective is not made for the model, and `DataError` for labels that the model does not read.
    """
    device = training.device
    strategy = strategy_of(settings.strategy, world)
    with seeded(world.seed(settings.seed), device):
        objective.check(model)
        strategy.equalise(model.to(device), objective.to(device))
        introduce(model, training.rows)
        strategy.equalise(model, objective)
        updates = Updates(model.train(), objective, settings, device, strategy)
        watching = observers if world.leads else ()
        run = Run(updates, training.labelled(labels_wanted(model, objective)), held_out, watching, keeper)
        keeper.resume(run)
        with keeper.watching(), in_company(model, world), in_company(objective, world):
            _watched(run)
    kept = updates.evaluated
    if held_out is not None:
        run.best.restore(kept)
    return Trained(kept.eval(), tuple(run.history), run.best.epoch or len(run.history))


def _watched(run: Run) -> None:
    plan = run.plan
    for observer in run.observers:
        observer.begin(plan)
    try:
        run.epochs()
    finally:
        for observer in run.observers:
            observer.end()
