"""Fit many: an ensemble of models of one make, trained at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from vaekit.about import About, refuse_unexplained
from vaekit.common.errors import TrainingDiverged, UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE
from vaekit.data import Binarize, Dataset, Encoding, hold_out
from vaekit.data.streams import MEMORY
from vaekit.evaluate import Estimate
from vaekit.fitting import Data, about_run, binarization, fit, training_rows
from vaekit.misfit import refuse_misfit
from vaekit.model import FittedVAE
from vaekit.objectives import Objective, Schedule
from vaekit.train import Observer, Resident, Settings, Watcher, device_named
from vaekit.train import Plan as TrainingPlan
from vaekit.train.loop import MEND
from vaekit.train.many.alike import NotTogether
from vaekit.train.many.training import train_many
from vaekit.train.progress import progress, say
from vaekit.train.rows.feeds import InMemory
from vaekit.train.settings import MakeOptimizer

Make = Callable[..., tuple[VAE, Objective]]
"""Called as `make(seed=..., **options)`, for a new model and its objective; `partial(build, name, shape)` is one."""
Rate = float | Schedule


def fit_many(
    make: Make,
    data: Data,
    seeds: Iterable[int] = range(8),
    options: Sequence[Mapping[str, Any]] | None = None,
    *,
    max_epochs: int = 50,
    batch_size: int = 128,
    learning_rate: Rate | Sequence[Rate] = 1e-3,
    optimizer: str | MakeOptimizer = "adam",
    clip: float | None = None,
    skip: float | None = None,
    ema: float | None = None,
    precision: str = "auto",
    validation: float = 0.1,
    patience: int = 10,
    binarize: str | Binarize | None = None,
    device: str = "auto",
    memory: int = MEMORY,
    verbose: bool = True,
) -> tuple[FittedVAE, ...]:
    """Train models of one make at once, in steps that move all of them; each comes out as `fit` would have made it.

    A model's seed decides its initial weights, the rows that are held out from it and their order. Clipping, early
    stopping and the best weights are each model's own. The noise is drawn for all together, from the first seed: it
    is another for each model, and another than `fit` would draw, unless the models are one. Models that cannot be
    trained at once are trained one after another, which is said on standard error and recorded in `about.training`.
    The seconds of an epoch are those of all models together.

    Args:
        make: called as `make(seed=..., **options)` for each model: a new model and its objective.
        data: as for `fit`; held once, whatever the number of models.
        seeds: one for each model.
        options: of each model, such as `[{"beta": 1.0}, {"beta": 4.0}]`. Models are trained at once if only numbers
            that are no sizes differ, and schedules.
        learning_rate: one for all, or a list of one for each model.
        max_epochs: passes over the data, at most; this and all other settings as for `fit`.

    Raises:
        UsageError: no seeds, lists of other lengths, models that share weights, or what `fit` raises it for.
        DataError: as for `fit`.
        TrainingDiverged: as for `fit`, with the seed of the model.

    >>> from functools import partial
    >>> import vaekit
    >>> make = partial(vaekit.build, "beta_vae", (6,), latent=2)
    >>> weights = [{"beta": 1.0}, {"beta": 4.0}]
    >>> fitted = vaekit.fit_many(make, torch.rand(64, 6), [0, 0], weights, max_epochs=2, verbose=False)
    >>> [one.about.training["together"] for one in fitted]
    ['2 models at once', '2 models at once']
    """
    chosen = tuple(seeds)
    _refuse_lengths(chosen, options, learning_rate)
    plans = [
        Plan(
            Settings(
                max_epochs=max_epochs,
                batch_size=batch_size,
                learning_rate=_own(learning_rate, number),
                optimizer=optimizer,
                clip=clip,
                skip=skip,
                ema=ema,
                precision=precision,
                patience=patience,
                seed=seed,
            ),
            options[number] if options else {},
        )
        for number, seed in enumerate(chosen)
    ]
    ensemble = Ensemble(make, data, plans, Shared(validation, binarize, device, memory, verbose))
    try:
        return ensemble.at_once()
    except NotTogether as reason:
        return ensemble.one_after_another(str(reason))


@dataclass(frozen=True)
class Plan:
    """How one model is made and trained."""

    settings: Settings
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Shared:
    """What all models of an ensemble have in common beside the settings: how rows are read, where, and who is told."""

    validation: float
    binarize: str | Binarize | None
    device: str
    memory: int
    verbose: bool

    def say(self, words: str) -> None:
        """Say it, if anybody listens."""
        if self.verbose:
            say(words)


class Opening(Watcher):
    """Says something once a run begins."""

    def __init__(self, words: str) -> None:
        self.words = words

    def begin(self, plan: TrainingPlan) -> None:
        """Say it."""
        say(self.words)


@dataclass(frozen=True)
class Ensemble:
    """Models to be made and trained on the same data."""

    make: Make
    data: Data
    plans: Sequence[Plan]
    shared: Shared

    def at_once(self) -> tuple[FittedVAE, ...]:
        """Train them in steps that move all; raises `NotTogether` where that cannot be."""
        rows = self._rows()
        members = [self._made(plan) for plan in self.plans]
        _refuse_shared([model for model, _ in members])
        where, encoding = device_named(self.shared.device), Encoding(binarization(self.shared.binarize))
        feeds = [InMemory(rows, encoding, partial(refuse_unexplained, model)) for model, _ in members]
        for feed, (model, objective) in zip(feeds, members, strict=True):
            refuse_misfit(model.to(where), objective, Resident(feeds[0].head.head(2), encoding, 2, where))
            feed.check(feeds[0].head)
        settings = [plan.settings for plan in self.plans]
        resident = Resident(feeds[0].head, encoding, settings[0].batch_size, where)
        way = f"{len(members)} models at once"
        trained = train_many(members, resident, *self._parted(len(rows)), settings, self._watchers(way))
        return tuple(
            FittedVAE(
                one.model, _with(about_run(one, self.data, feeds[0], encoding, own, self.shared.validation, where), way)
            )
            for one, own in zip(trained, settings, strict=True)
        )

    def _rows(self) -> Dataset:
        if len(self.plans) == 1:
            raise NotTogether("there is but one")
        rows = training_rows(self.data, self.shared.memory)
        if not isinstance(rows, Dataset):
            raise NotTogether("the rows are streamed")
        return rows

    def _watchers(self, way: str) -> list[Observer]:
        return [Opening(way), progress()] if self.shared.verbose else []

    def one_after_another(self, reason: str) -> tuple[FittedVAE, ...]:
        """Train them each by itself."""
        way = f"one after another: {reason}"
        self.shared.say(f"{len(self.plans)} models {way}")
        return tuple(self._fitted(plan, way) for plan in self.plans)

    def _fitted(self, plan: Plan, way: str) -> FittedVAE:
        try:
            model, objective = self._made(plan)
            fitted = fit(model, objective, self.data, **vars(plan.settings), **vars(self.shared))
        except TrainingDiverged as error:
            term = f"{error.term} of the model of seed {plan.settings.seed}"
            raise TrainingDiverged(error.epoch, error.step, term, MEND) from error
        fitted.about = _with(fitted.about, way)
        return fitted

    def _made(self, plan: Plan) -> tuple[VAE, Objective]:
        with seeded(plan.settings.seed):
            return self.make(seed=plan.settings.seed, **plan.options)

    def _parted(self, rows: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The numbers of the rows that each model learns from, and of those held out from it, `(model, n)`."""
        numbers = Dataset(torch.zeros(rows, 1), torch.arange(rows))
        parts = [hold_out(numbers, self.shared.validation, plan.settings.seed) for plan in self.plans]
        learn = torch.stack([_labels(part) for part, _ in parts])
        held_out = [_labels(part) for _, part in parts if part is not None]
        return learn, torch.stack(held_out) if held_out else None


def mean_over(models: Iterable[FittedVAE], measure: Callable[[FittedVAE], float]) -> Estimate:
    """The mean of a number over models, and its standard error: what the seed of training makes of it.

    >>> import vaekit
    >>> rows = torch.rand(64, 6)
    >>> make = partial(vaekit.build, "vae", (6,), latent=2)
    >>> fitted = fit_many(make, rows, range(3), max_epochs=1, verbose=False)
    >>> elbo = mean_over(fitted, lambda model: model.evaluate(rows, samples=1).terms.elbo)
    >>> elbo.value < 0 < elbo.stderr
    True
    """
    return Estimate.mean_of(torch.tensor([measure(model) for model in models], dtype=torch.float64))


def _own(rate: Rate | Sequence[Rate], number: int) -> Rate:
    return rate[number] if isinstance(rate, Sequence) else rate


def _labels(part: Dataset) -> torch.Tensor:
    assert part.y is not None
    return part.y


def _with(about: About, way: str) -> About:
    """What is known of a model, and how it was trained beside others."""
    return replace(about, training={**about.training, "together": way})


def _refuse_lengths(seeds: Sequence[int], options: Sequence[object] | None, rate: object) -> None:
    if not seeds:
        raise UsageError("no seeds: give one for each model")
    for name, given in (("options", options), ("learning_rate", rate)):
        if isinstance(given, Sequence) and len(given) != len(seeds):
            raise UsageError(f"{len(given)} of {name} for {len(seeds)} seeds: give one for each model")


def _refuse_shared(models: Sequence[VAE]) -> None:
    known = [id(weight) for model in models for weight in model.parameters()]
    if len(known) != len(set(known)):
        raise UsageError("make gave the same weights to two models: let it build a new model each time")
