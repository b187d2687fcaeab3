"""Training many models at once: one vmapped update moves them all, and each keeps its own order, record and best."""

from __future__ import annotations

import math
import textwrap
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean

import torch
from torch import Tensor, nn

from vaekit.common.errors import TrainingDiverged, VaekitError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch
from vaekit.core.meeting import introduce
from vaekit.objectives import Objective
from vaekit.train.history import Epoch, Observer, Plan, Trained
from vaekit.train.judges import judge_of, judged
from vaekit.train.loop import MEND
from vaekit.train.many.alike import NotTogether
from vaekit.train.many.shares import Shares
from vaekit.train.many.stack import MODEL, Stack, Values
from vaekit.train.many.stacked import StackedUpdates, over_members
from vaekit.train.means import Entries, Ledger, Means, latent_names
from vaekit.train.rows.batches import Resident
from vaekit.train.rows.labels import labels_wanted
from vaekit.train.rows.source import order_seed
from vaekit.train.settings import PRECISIONS, Settings
from vaekit.train.steps.joint import Joint


class Course:
    """How far one member has come: its history, its best epoch, and whether it goes on."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.history: list[Epoch] = []
        self.best, self.best_epoch = -math.inf, 0
        self.over = False

    def consider(self, epoch: Epoch) -> bool:
        """Whether this epoch, with rows held out, is the best so far; from when patience is over none is."""
        self.history.append(epoch)
        better = epoch.score > self.best
        if better:
            self.best, self.best_epoch = epoch.score, epoch.number
        self.over = epoch.number - self.best_epoch >= self.patience
        return better


class StackedRun:
    """Epochs of updates of all members, what is held out after each, and who watches."""

    def __init__(
        self,
        updates: StackedUpdates,
        training: Shares,
        held_out: Shares | None,
        settings: Sequence[Settings],
        observers: Sequence[Observer],
    ) -> None:
        self.updates, self.training, self.held_out = updates, training, held_out
        self.settings, self.observers = settings, observers
        self.courses = [Course(each.patience) for each in settings]
        self.kept: Values = {}

    @property
    def stack(self) -> Stack:
        """The models."""
        return self.updates.stack

    @property
    def model(self) -> VAE:
        """The model that is the template of all."""
        return self.stack.template.model

    def epochs(self, max_epochs: int) -> None:
        """Train until the last epoch, or until the patience of all is over."""
        for number in range(1, max_epochs + 1):
            epochs = self._epoch(number)
            self._keep(epochs)
            for observer in self.observers:
                observer.epoch(average_of(list(epochs.values())), self.model)
            if all(course.over for course in self.courses):
                break

    def _keep(self, epochs: Mapping[int, Epoch]) -> None:
        """Enter the epoch of each member that goes on, and keep the values of those that were never better."""
        if self.held_out is None:
            for member, epoch in epochs.items():
                self.courses[member].history.append(epoch)
            return
        better = {member for member, epoch in epochs.items() if self.courses[member].consider(epoch)}
        mask = torch.tensor([member in better for member in range(len(self.courses))], device=self.training.data.device)
        values = self.updates.evaluated
        before = self.kept or values
        self.kept = {
            name: torch.where(over_members(mask, value), value, before[name]) for name, value in values.items()
        }

    def _epoch(self, number: int) -> dict[int, Epoch]:
        """The epoch of each member that goes on."""
        rates, started = self.updates.learning_rates, time.perf_counter()
        train = self._learn(number)
        seconds = time.perf_counter() - started
        held_out = self._look()
        going = [member for member, course in enumerate(self.courses) if not course.over]
        examples = self.training.examples
        epochs = {
            member: Epoch(number, train[member], held_out[member], rates[member], seconds, examples) for member in going
        }
        for member, epoch in epochs.items():
            if not math.isfinite(epoch.score):
                raise self._diverged(member, number, len(self.training), f"the held-out {epoch.train.measure}")
        return epochs

    def _learn(self, number: int) -> list[Means]:
        rows, sizes = [], []
        seeds = [order_seed(each.seed, number) for each in self.settings]
        with PRECISIONS[self.settings[0].precision].of(self.model):
            for batch in self.training.shuffled(seeds):
                rows.append(self.updates.update(batch))
                sizes.append(batch.x.shape[1])
                for observer in self.observers:
                    observer.batch(batch.x.shape[0] * batch.x.shape[1])
        ledgers = self._read(self.stack.learned_of, rows, sizes)
        self._refuse_faults(ledgers, number)
        return [ledger.means(latent_names(self.model)) for ledger in ledgers]

    def _read(self, names: tuple[str, ...], rows: Sequence[Tensor], sizes: Sequence[int]) -> list[Ledger]:
        """What was entered in an epoch, each member's own: here the device is waited for."""
        entered = torch.stack(list(rows), dim=1).cpu()
        ledgers = [Ledger(len(sizes), entered.device) for _ in self.courses]
        for ledger, own in zip(ledgers, entered, strict=True):
            ledger.enter(Entries(names, own, tuple(sizes)))
        return ledgers

    def _refuse_faults(self, ledgers: Sequence[Ledger], epoch: int) -> None:
        going = [member for member, course in enumerate(self.courses) if not course.over]
        for member in going:
            if fault := ledgers[member].first_fault():
                raise self._diverged(member, epoch, fault[0] + 1, fault[1])
        learned = {name: weight for name, weight in self.stack.learned.items() if name.startswith(MODEL)}
        finite = torch.stack([weight.isfinite().reshape(len(weight), -1).all(1) for weight in learned.values()], 1)
        for member, whole in enumerate(finite.tolist()):
            if member in going and not all(whole):
                name = list(learned)[whole.index(False)].removeprefix(MODEL)
                raise self._diverged(member, epoch, len(self.training), f"the gradient of {name}")

    def _diverged(self, member: int, epoch: int, step: int, term: str) -> TrainingDiverged:
        return TrainingDiverged(
            epoch, step, f"{term} of model {member + 1}, of seed {self.settings[member].seed},", MEND
        )

    def _look(self) -> Sequence[Means | None]:
        """The plain ELBO of what is held out for each, by the same draws every time."""
        if self.held_out is None:
            return [None] * len(self.courses)
        with seeded(self.settings[0].seed, self.held_out.data.device):
            batches = [self._looked_at(batch) for batch in self.held_out.in_order()]
        rows, sizes = zip(*batches, strict=True)
        found = [ledger.means(latent_names(self.model)) for ledger in self._read(self.stack.looked_at, rows, sizes)]
        return [judged(means, self.stack.template.objective) for means in found]

    def _looked_at(self, batch: Batch) -> tuple[Tensor, int]:
        return self.stack.look(self.updates.evaluated, batch, self.updates.step), batch.x.shape[1]

    def finish(self, members: Sequence[Joint]) -> tuple[Trained, ...]:
        """Give every member its values, the best where rows are held out, and its history."""
        values = {**self.stack.values, **(self.kept or self.updates.evaluated)}
        for number, member in enumerate(members):
            with torch.no_grad():
                for name, own in (*member.named_parameters(), *member.named_buffers()):
                    own.copy_((values if name.startswith(MODEL) else self.stack.values)[name][number])
        return tuple(
            Trained(member.model.eval(), tuple(course.history), course.best_epoch or len(course.history))
            for member, course in zip(members, self.courses, strict=True)
        )


def average_of(epochs: Sequence[Epoch]) -> Epoch:
    """The epochs of several models as one, for who watches: means of their means, and examples of all."""
    first = epochs[0]
    held_out = [epoch.held_out for epoch in epochs if epoch.held_out is not None]
    return Epoch(
        first.number,
        _mean([epoch.train for epoch in epochs]),
        _mean(held_out) if held_out else None,
        fmean(epoch.learning_rate for epoch in epochs),
        first.seconds,
        sum(epoch.examples for epoch in epochs),
    )


def _mean(means: Sequence[Means]) -> Means:
    kl = {name: fmean(each.kl[name] for each in means) for name in means[0].kl}
    bounds = [each.elbo for each in means if each.elbo is not None]
    value, log_likelihood = fmean(each.value for each in means), fmean(each.log_likelihood for each in means)
    return Means(value, fmean(bounds) if bounds else None, log_likelihood, kl)


def train_many(
    members: Sequence[tuple[VAE, Objective]],
    data: Resident,
    learn: Tensor,
    held_out: Tensor | None,
    settings: Sequence[Settings],
    observers: Sequence[Observer] = (),
) -> tuple[Trained, ...]:
    """Train models of one make at once, each by its own objective, rows, order and learning rate.

    Args:
        members: models with their objectives.
        data: all rows, held once.
        learn: the numbers of the rows that each member learns from, `(member, n)`.
        held_out: the numbers of those that are held out for each, for early stopping, if any.
        settings: of each member; they may differ in the seed and the learning rate.
        observers: who watches; they are told the means over the members that still learn.

    Raises `NotTogether` where they cannot be trained so, and what `train` raises, with the member's seed.
    """
    device = data.device
    joints = [Joint(model, objective).to(device).train() for model, objective in members]
    _refuse_apart(joints[0], settings[0])
    wanted = labels_wanted(joints[0].model, joints[0].objective)
    training = Shares(data.labelled(wanted), learn)
    for number, (joint, own) in enumerate(zip(joints, settings, strict=True)):
        joint.objective.check(joint.model)
        with seeded(own.seed, device):
            introduce(joint.model, training.rows(number))
    known = data.labelled(labels_wanted(joints[0].model, judge_of(joints[0].objective)))
    looked_at = None if held_out is None else Shares(known, held_out)
    updates = StackedUpdates(Stack(joints, device), settings, device)
    run = StackedRun(updates, training, looked_at, settings, observers)
    with seeded(settings[0].seed, device), _without_complaints():
        _rehearse(run)
        _watched(run, settings[0].max_epochs)
    return run.finish(joints)


def _refuse_apart(joint: Joint, settings: Settings) -> None:
    if joint.objective.rivals():
        raise NotTogether("the objective has two players")
    if settings.skip is not None:
        raise NotTogether("updates that are skipped are counted for each model by itself")


@contextmanager
def _without_complaints() -> Iterator[None]:
    """Torch warns of operations that it does one member at a time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*performance drop.*")
        yield


def _rehearse(run: StackedRun) -> None:
    """Try an update and a look at what is held out, and leave no trace of it; `NotTogether` says what did not work."""
    notes = _notes(run.stack.template)
    held = {name: value.clone() for name, value in run.stack.held.items()}
    try:
        with seeded(0, run.training.data.device):
            _try(run)
    except VaekitError:
        raise
    except Exception as error:
        raise NotTogether(_in_short(error)) from error
    changed = [name for name, value in _notes(run.stack.template).items() if notes.get(name) is not value]
    if changed:
        raise NotTogether(f"{changed[0]} changes while the model learns, and is no buffer")
    for name, value in held.items():
        run.stack.held[name].copy_(value)


def _try(run: StackedRun) -> None:
    size, examples = run.training.data.batch_size, run.training.examples
    for n in {min(size, examples), examples % size} - {0}:
        run.stack.gradient(_first(run.training, n), run.updates.step)
    if run.held_out is not None:
        run.stack.look(run.updates.evaluated, _first(run.held_out, min(size, run.held_out.examples)), run.updates.step)


def _first(shares: Shares, n: int) -> Batch:
    return shares.at(torch.arange(n, device=shares.numbers.device).expand(len(shares.numbers), n))


def _notes(module: nn.Module) -> dict[str, object]:
    """What modules hold that is neither weight nor buffer."""
    own = {path: vars(part) for path, part in module.named_modules()}
    return {f"{path}.{name}": value for path, held in own.items() for name, value in held.items() if name != "training"}


KNOWN: Mapping[str, str] = {
    "data-dependent control flow": "a step depends on values that Python has to wait for",
    "autograd.Function": "a part has a derivative of its own that is not for many at once",
}
"""What torch says of the commonest hindrances, in fewer words."""


def _in_short(error: Exception) -> str:
    said = str(error).strip() or type(error).__name__
    known = (words for mark, words in KNOWN.items() if mark in said)
    return next(known, textwrap.shorten(said.splitlines()[0], 120))


def _watched(run: StackedRun, max_epochs: int) -> None:
    members = len(run.courses)
    plan = Plan(max_epochs, len(run.training), run.training.examples * members)
    for observer in run.observers:
        observer.begin(plan)
    try:
        run.epochs(max_epochs)
    finally:
        for observer in run.observers:
            observer.end()
