"""Whether rows fit a model: what is said of a model composed by hand, before it learns, names the part at fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Size, nn
from torch.distributions import Distribution

from vaekit.common.errors import DataError, first_line
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Latent
from vaekit.objectives import Objective
from vaekit.recipes import Blueprint
from vaekit.train import Resident
from vaekit.train.means import evaluating
from vaekit.train.rows.labels import labels_wanted


def refuse_misfit(model: VAE, objective: Objective, rows: Resident) -> None:
    """Refuse rows of a shape that the model was not made for; one composed by hand is let explain a few of them.

    Raises `DataError` that names the shapes, and the part that cannot read what it is given.
    """
    shape, made_for = tuple(rows.x.shape[1:]), model.blueprint
    if isinstance(made_for, Blueprint):
        _refuse_shape(shape, tuple(made_for.form.event_shape))
        return
    likelihood = _likelihood(model, objective, rows)
    if _is_of_cells(likelihood, shape):
        raise DataError(
            f"the likelihood takes each of the {shape} values of a row for a row of its own: "
            f"wrap its distribution, torch.distributions.Independent(..., {len(shape)})"
        )
    _refuse_shape(shape, tuple(likelihood.event_shape))


def _refuse_shape(shape: tuple[int, ...], explained: tuple[int, ...]) -> None:
    if explained != shape:
        raise DataError(f"rows of shape {shape}, but the model explains {explained}: build it for {shape}")


def _is_of_cells(likelihood: Distribution, shape: tuple[int, ...]) -> bool:
    """Whether the axes of a row are axes of the batch to a distribution."""
    return bool(shape) and likelihood.event_shape == Size() and tuple(likelihood.batch_shape[2:]) == shape


def _likelihood(model: VAE, objective: Objective, rows: Resident) -> Distribution:
    """p(x | z) of the first few rows."""
    shape = tuple(rows.x.shape[1:])
    with seeded(0, rows.x.device), torch.no_grad(), evaluating(model), _watching(model) as at_work:
        try:
            batch = next(iter(rows.labelled(labels_wanted(model, objective)).in_order()))
            return model.trace(batch.x, given=batch.given).likelihood
        except (RuntimeError, ValueError, LookupError) as error:
            where = f"{at_work[-1]} fails on them" if at_work else "the model fails on them"
            said = f"{type(error).__name__}: {first_line(error)}"
            raise DataError(f"rows of shape {shape}: {where} ({said}); mend what it reads or makes") from error


@contextmanager
def _watching(model: VAE) -> Iterator[list[str]]:
    """The parts that are at work, in words: those that began and did not end."""
    at_work: list[str] = []
    hooks = []
    for words, part in _parts(model):
        hooks.append(part.register_forward_pre_hook(lambda *_, words=words: at_work.append(words)))
        hooks.append(part.register_forward_hook(lambda *_: at_work.pop() and None))
    try:
        yield at_work
    finally:
        for hook in hooks:
            hook.remove()


def _parts(model: VAE) -> Iterator[tuple[str, nn.Module]]:
    for name, part in model.parts.items():
        if isinstance(part, Latent):
            yield f"the prior of {name!r}", part.prior
            yield f"the posterior of {name!r}", part.posterior
        else:
            yield f"the part {name!r}", part
    yield "the likelihood", model.likelihood
