"""Fit: a model, an objective and data in, a fitted model out."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import DataLoader

import vaekit
from vaekit.about import About, density_of_rows, refuse_unexplained
from vaekit.common.errors import UsageError
from vaekit.core import VAE
from vaekit.data import BINARIZE, Binarize, Dataset, Encoding, Splits, Streamed, dataset, hold_out, open_data
from vaekit.data.fingerprint import fingerprint
from vaekit.data.streams import MEMORY, loader_store
from vaekit.misfit import refuse_misfit
from vaekit.model import FittedVAE
from vaekit.objectives import Objective, Schedule
from vaekit.store import config_of
from vaekit.train import Observer, Resident, Settings, Trained, describe, train
from vaekit.train.progress import progress, say
from vaekit.train.ranks.strategy import remarks
from vaekit.train.ranks.world import World, joining
from vaekit.train.resume.identity import identity_of
from vaekit.train.resume.keeper import Careless, Keeper, Keeping
from vaekit.train.rows.feeds import Feed, Sources, feed_of
from vaekit.train.runtime import device_in
from vaekit.train.settings import MakeOptimizer

Data = Splits | Dataset | Streamed | DataLoader[Any] | Path | ArrayLike | Tensor


def fit(
    model: VAE,
    objective: Objective,
    data: Data,
    *,
    max_epochs: int = 50,
    batch_size: int = 128,
    learning_rate: float | Schedule = 1e-3,
    optimizer: str | MakeOptimizer = "adam",
    clip: float | None = None,
    skip: float | None = None,
    ema: float | None = None,
    precision: str = "auto",
    validation: float = 0.1,
    patience: int = 10,
    binarize: str | Binarize | None = None,
    seed: int = 0,
    device: str = "auto",
    memory: int = MEMORY,
    strategy: str = "ddp",
    compile: bool = False,
    verbose: bool = True,
    observers: Sequence[Observer] = (),
    checkpoints: str | Path | Keeping | None = None,
    resume: bool = False,
) -> FittedVAE:
    """Train a VAE and hand it back with everything it can be used for.

    Args:
        model: the model. Its weights are trained in place.
        objective: what to maximise.
        data: rows `(n, *event)` or a data set; of one with splits, the training rows. Bytes are read as greys, / 255.
            A path or a `DataLoader` will do too: see `vaekit.open_data`, which streams what is larger than memory.
        max_epochs: passes over the data, at most.
        batch_size: examples to an update.
        learning_rate: a number, or a `Schedule` over updates.
        optimizer: adam, adamw, adamax, sgd, momentum, or any torch optimiser's class.
        clip: largest norm of the gradient; a longer one is scaled down to it.
        skip: largest norm of a gradient that is used at all; an update with a longer one is skipped.
        ema: decay of an average of the weights; the average is then what is evaluated and kept.
        precision: what the nets compute in while they learn: "float32", "bfloat16", or "auto" (TF32 on a GPU).
        validation: share of the rows that is held out, for early stopping; 0 trains on all of them to the end.
        patience: epochs without a better held-out ELBO before training stops. The best weights are kept.
        binarize: "dynamic" (drawn afresh each time), "static" (drawn once, by a fixed seed), "threshold", or None.
        seed: of the split, the order, the noise. The same seed gives the same model, to the bit on a CPU.
        device: "auto", "cpu", "cuda", ...
        memory: MiB of rows that are held at once, of a path or a `DataLoader`; where they take more, they are streamed.
        strategy: over the ranks of a torchrun, "ddp" (all weights in each) or "fsdp" (a piece of each net in each).
        compile: compile the gradient as a whole first; that takes up to a minute, and pays in long runs on a GPU.
        verbose: show progress on standard error.
        observers: others who watch the run.
        checkpoints: a directory where the state of the run is kept as it goes, or a `Keeping` that also says how often.
        resume: go on from the newest checkpoint there, if there is one; interrupted or not, the result is the same.

    Raises:
        UsageError: a setting out of its range, or checkpoints of another run.
        DataError: values that the model cannot explain, or rows of a shape it was not made for.
        TrainingDiverged: with the epoch, the step and the term that stopped being finite.

    >>> import vaekit
    >>> rows = torch.rand(64, 6)
    >>> fitted = vaekit.fit(*vaekit.build("vae", (6,), latent=2), rows, max_epochs=2, verbose=False)
    >>> fitted.sample(3).shape
    torch.Size([3, 6])
    """
    settings = Settings(
        max_epochs, batch_size, learning_rate, optimizer, clip, ema, patience, seed, precision, skip, strategy, compile
    )
    with joining() as world:
        where = device_in(world, device)
        encoding = Encoding(binarization(binarize))
        feed = feed_of(training_rows(data, memory), encoding, partial(refuse_unexplained, model))
        refuse_misfit(model.to(where), objective, Resident(feed.head.head(2), encoding, 2, where))
        feed.refuse_unfit()
        learn, held_out = in_shares(feed.sources(validation, seed, world.batch(batch_size), where), world)
        for words in (feed.words(learn), *remarks(model, objective, strategy, world)):
            if words and verbose and world.leads:
                say(words)
        watchers = (progress(), *observers) if verbose else tuple(observers)
        about = planned(model, data, feed, encoding, settings, validation, where)
        keeper = Careless()
        if keeping := _keeping(checkpoints, resume):
            told = {"rows": len(feed), "data": fingerprint(feed.head), "reading": feed.words(learn)}
            parted = {"encoding": repr(encoding), "validation": validation}
            identity = identity_of(model, objective, settings, where, told | parted)
            keeper = Keeper(keeping, identity, resume, config_of(model, about), world)
        trained = train(
            model,
            objective,
            learn,
            held_out,
            settings,
            watchers,
            keeper,
            world,
        )
        return FittedVAE(trained.model, finished(about, trained))


def in_shares(sources: Sources, world: World) -> Sources:
    """Sources of one rank of a world, of the sources of all."""
    learn, held_out = sources
    if world.size == 1:
        return sources
    shared = None if held_out is None else held_out.shared(world.rank, world.size)
    return learn.shared(world.rank, world.size), shared


def _keeping(checkpoints: str | Path | Keeping | None, resume: bool) -> Keeping | None:
    if checkpoints is None and resume:
        raise UsageError("nothing to resume from: name the directory of the checkpoints, checkpoints=...")
    return Keeping(checkpoints) if isinstance(checkpoints, (str, Path)) else checkpoints


def training_rows(data: Data, memory: int = MEMORY) -> Dataset | Streamed:
    """The rows to train on, of whatever was given."""
    if isinstance(data, (str, Path)):
        return training_rows(open_data(data, memory))
    if isinstance(data, DataLoader):
        return Streamed(loader_store(data), name="DataLoader", memory=memory)
    if isinstance(data, Splits):
        return data.train
    return data if isinstance(data, (Dataset, Streamed)) else dataset(data, holes=True)


def held_out_rows(rows: Dataset, validation: float, seed: int) -> Dataset | None:
    """The rows that `fit` holds out for this share and seed; None where it holds out none."""
    return hold_out(rows, validation, seed)[1]


def binarization(choice: str | Binarize | None) -> Binarize:
    """The binarisation of this name, or as it is; none where none is chosen."""
    if choice is None or isinstance(choice, str):
        return BINARIZE[choice or "none"]()
    return choice


def about_run(
    trained: Trained,
    data: Data,
    feed: Feed,
    encoding: Encoding,
    settings: Settings,
    validation: float,
    device: torch.device,
) -> About:
    """What is to be known about a model that was fitted to these rows."""
    return finished(planned(trained.model, data, feed, encoding, settings, validation, device), trained)


def finished(about: About, trained: Trained) -> About:
    """What is to be known about a model, once it is fitted."""
    return replace(about, training={**about.training, **trained.results}, history=trained.history)


def planned(
    model: VAE,
    data: Data,
    feed: Feed,
    encoding: Encoding,
    settings: Settings,
    validation: float,
    device: torch.device,
) -> About:
    """What is to be known about a model that is about to be fitted to these rows."""
    training = {
        **{setting.name: _plain(getattr(settings, setting.name)) for setting in fields(settings)},
        "validation": validation,
        "examples": len(feed),
        "device": describe(device),
        "versions": versions(),
    }
    name = data.name if isinstance(data, (Splits, Dataset, Streamed)) else ""
    shape, density = tuple(feed.head.event_shape), density_of_rows(model, feed.head, encoding)
    return About(shape, encoding, density, name or "data", training, schema=feed.head.schema)


def _plain(setting: object) -> object:
    """A setting as a file can hold it."""
    return setting if isinstance(setting, (int, float, str)) or setting is None else repr(setting)


def versions() -> dict[str, str]:
    """The versions that numbers may depend on."""
    return {
        "vaekit": vaekit.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
