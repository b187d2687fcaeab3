"""Fit: a model, an objective and data in, a fitted model out."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Size, Tensor

import vaekit
from vaekit.about import About, density_of_rows, refuse_unexplained
from vaekit.common.errors import DataError
from vaekit.common.seeds import seeded
from vaekit.core import VAE
from vaekit.data import BINARIZE, Binarize, Dataset, Encoding, Splits, dataset, hold_out
from vaekit.model import FittedVAE
from vaekit.objectives import Objective, Schedule
from vaekit.recipes import Blueprint
from vaekit.train import Observer, Resident, Settings, Trained, describe, device_named, progress, train
from vaekit.train.labels import labels_wanted
from vaekit.train.means import evaluating
from vaekit.train.settings import MakeOptimizer

Data = Splits | Dataset | ArrayLike | Tensor


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
    ema: float | None = None,
    validation: float = 0.1,
    patience: int = 10,
    binarize: str | Binarize | None = None,
    seed: int = 0,
    device: str = "auto",
    verbose: bool = True,
    observers: Sequence[Observer] = (),
) -> FittedVAE:
    """Train a VAE and hand it back with everything it can be used for.

    Args:
        model: the model. Its weights are trained in place.
        objective: what to maximise.
        data: rows `(n, *event)` or a data set; of one with splits, the training rows. Bytes are read as greys, / 255.
        max_epochs: passes over the data, at most.
        batch_size: examples to an update.
        learning_rate: a number, or a `Schedule` over updates.
        optimizer: adam, adamw, adamax, sgd, momentum, or any torch optimiser's class.
        clip: largest norm of the gradient.
        ema: decay of an average of the weights; the average is then what is evaluated and kept.
        validation: share of the rows that is held out, for early stopping; 0 trains on all of them to the end.
        patience: epochs without a better held-out ELBO before training stops. The best weights are kept.
        binarize: "dynamic" (drawn afresh each time), "static" (drawn once, by a fixed seed), "threshold", or None.
        seed: of the split, the order, the noise. The same seed gives the same model, to the bit on a CPU.
        device: "auto", "cpu", "cuda", ...
        verbose: show progress on standard error.
        observers: others who watch the run.

    Raises:
        UsageError: a setting out of its range.
        DataError: values that the model cannot explain, or rows of a shape it was not made for.
        TrainingDiverged: with the epoch, the step and the term that stopped being finite.

    >>> import vaekit
    >>> rows = torch.rand(64, 6)
    >>> fitted = vaekit.fit(*vaekit.build("vae", (6,), latent=2), rows, max_epochs=2, verbose=False)
    >>> fitted.sample(3).shape
    torch.Size([3, 6])
    """
    settings = Settings(max_epochs, batch_size, learning_rate, optimizer, clip, ema, patience, seed)
    where = device_named(device)
    rows = training_rows(data)
    encoding = Encoding(_binarization(binarize))
    prepared = encoding.prepare(rows)
    refuse_misfit(model.to(where), objective, Resident(prepared.head(2), encoding, 2, where))
    refuse_unexplained(model, prepared)
    learn, held_out = hold_out(prepared, validation, seed)
    watchers = (progress(), *observers) if verbose else tuple(observers)
    trained = train(
        model,
        objective,
        Resident(learn, encoding, batch_size, where),
        None if held_out is None else Resident(held_out, encoding, batch_size, where),
        settings,
        watchers,
    )
    return FittedVAE(trained.model, _about(trained, data, prepared, encoding, settings, validation, where))


def training_rows(data: Data) -> Dataset:
    """The rows to train on, of whatever was given."""
    if isinstance(data, Splits):
        return data.train
    return data if isinstance(data, Dataset) else dataset(data)


def held_out_rows(rows: Dataset, validation: float, seed: int) -> Dataset | None:
    """The rows that `fit` holds out for this share and seed; None where it holds out none."""
    return hold_out(rows, validation, seed)[1]


def refuse_misfit(model: VAE, objective: Objective, rows: Resident) -> None:
    """Refuse rows of a shape that the model was not made for; one composed by hand is let explain a few of them."""
    shape, made_for = tuple(rows.x.shape[1:]), model.blueprint
    explained = made_for.event_shape if isinstance(made_for, Blueprint) else _explained(model, objective, rows)
    if tuple(explained) != shape:
        raise DataError(f"rows of shape {shape}, but the model explains {tuple(explained)}: build it for {shape}")


def _explained(model: VAE, objective: Objective, rows: Resident) -> Size:
    try:
        with seeded(0, rows.x.device), torch.no_grad(), evaluating(model):
            batch = next(iter(rows.labelled(labels_wanted(model, objective)).in_order()))
            return model.trace(batch.x, given=batch.given).likelihood.event_shape
    except (RuntimeError, ValueError) as error:
        shape = tuple(rows.x.shape[1:])
        raise DataError(f"rows of shape {shape} do not fit the nets of the model: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _binarization(choice: str | Binarize | None) -> Binarize:
    if choice is None or isinstance(choice, str):
        return BINARIZE[choice or "none"]()
    return choice


def _about(
    trained: Trained,
    data: Data,
    rows: Dataset,
    encoding: Encoding,
    settings: Settings,
    validation: float,
    device: torch.device,
) -> About:
    training = {
        **{setting.name: _plain(getattr(settings, setting.name)) for setting in fields(settings)},
        "validation": validation,
        "examples": len(rows),
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
        "seconds": trained.seconds,
        "examples_per_second": trained.examples_per_second,
        "device": describe(device),
        "versions": versions(),
    }
    name = data.name if isinstance(data, (Splits, Dataset)) else ""
    shape, density = tuple(rows.event_shape), density_of_rows(trained.model, rows, encoding)
    return About(shape, encoding, density, name or "data", training, trained.history)


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
