"""What tests let several ranks do; `main` is run once for each rank, with the names of cases."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from train.toys import CPU
from vaekit.common.errors import VaekitError
from vaekit.common.leaving import leave
from vaekit.common.seeds import seeded
from vaekit.common.telling import is_told_here
from vaekit.core import VAE, Batch
from vaekit.core.company import in_company
from vaekit.data import Dataset, Encoding, Greys
from vaekit.fitting import fit
from vaekit.objectives import Elbo, Objective, Step, Terms
from vaekit.objectives.control import Multiplier
from vaekit.objectives.objective import OverBatch
from vaekit.recipes import build
from vaekit.train import Epoch, Resident, Settings, train
from vaekit.train.ranks.world import World, joining
from vaekit.train.resume.checkpoint import Checkpoints

with seeded(0):
    ROWS = (torch.rand(99, 6) < 0.3).float()
    PICTURES = torch.rand(30, 1, 8, 8)
BATCH = 16
"""99 rows in batches of 16: the last has 3 rows, 2 for the first rank and 1 for the second."""
ONE_LEFT = ROWS[:97]
"""The last batch has 1 row, and the second rank no share of it."""


@dataclass(frozen=True)
class Result:
    """A run as one rank has seen it."""

    history: tuple[Epoch, ...]
    state: dict[str, Tensor]
    best_epoch: int

    @property
    def bits(self) -> dict[str, int]:
        return {name: zlib.crc32(value.numpy().tobytes()) for name, value in self.state.items()}


def share(world: World, x: Tensor) -> Resident:
    source = Resident(Dataset(x), Encoding(Greys()), world.batch(BATCH), CPU)
    return source.shared(world.rank, world.size)


def run(
    world: World,
    recipe: str = "ae",
    x: Tensor = ROWS,
    objective: Objective | None = None,
    held_out: int = 35,
    model: Callable[[VAE], VAE] = lambda model: model,
    options: Mapping[str, Any] = {"latent": 2, "hidden": (8,)},
    **settings: Any,
) -> Result:
    """A short run of a recipe; each rank begins with weights of its own, and has to take the first one's."""
    built, own = build(recipe, tuple(x.shape[1:]), seed=world.rank, **options)
    chosen = Settings(**{"max_epochs": 2, "batch_size": BATCH, "learning_rate": 1e-2, **settings})
    looked_at = share(world, x[:held_out]) if held_out else None
    found = train(model(built), objective or own, share(world, x), looked_at, chosen, world=world)
    state = {name: value.clone() for name, value in found.model.state_dict().items()}
    return Result(found.history, state, found.best_epoch)


def resumed(world: World, strategy: str) -> dict[str, Any]:
    """The same run through the public `fit`: at one go, put down after an epoch, and interrupted within one."""

    def place(name: str) -> Path:
        return Path(os.environ["RANKS_FOLDER"]) / strategy / name

    def fitted(name: str, interrupt: int = 0, **settings: Any) -> Result:
        model, objective = build("vae", (6,), latent=2, hidden=(8,), seed=world.rank)
        objective.register_forward_pre_hook(Interrupts(interrupt))
        chosen = {"batch_size": 4, "device": "cpu", "verbose": False, "ema": 0.9, "clip": 1.0, **settings}
        found = fit(model, objective, Dataset(ROWS), strategy=strategy, checkpoints=place(name), **chosen)
        return Result(found.history, found.model.state_dict(), 0)

    begun = fitted("parted", max_epochs=1)
    assert len(begun.history) == 1
    with suppress(KeyboardInterrupt):
        fitted("interrupted", max_epochs=3, interrupt=3)
        raise AssertionError("the run was not interrupted")
    world.collected("interrupted")  # the first rank has written
    (kept,) = Checkpoints(place("interrupted")).found()
    return {
        "parted": fitted("parted", max_epochs=3, resume=True),
        "interrupted": fitted("interrupted", max_epochs=3, resume=True),
        "whole": fitted("whole", max_epochs=3),
        "kept": kept.name,
    }


class Interrupts:
    """Sends this process a SIGINT when it is called for the n-th time."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def streamed(world: World) -> Result:
    """A run through the public `fit` over rows that are read as they are needed."""
    model, objective = build("vae", (6,), latent=2, hidden=(8,), seed=world.rank)
    loader = DataLoader(TensorDataset(ROWS))
    found = fit(model, objective, loader, max_epochs=2, batch_size=BATCH, device="cpu", verbose=False)
    return Result(found.history, found.model.state_dict(), 0)


class Restless(nn.Module):
    """Lets x through, and learns something of it behind the ranks' backs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += x.detach().mean()
        return x


def restless(model: VAE) -> VAE:
    encoder = model.parts["z"].posterior.params
    encoder.net = nn.Sequential(Restless(), encoder.net)
    return model


class Exploding(Objective):
    """The ELBO, but infinite where row 40 is in the batch."""

    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        terms: Terms = Elbo()(model, batch, step)
        there = (batch.given["row"] == 40).any()
        return Terms(terms.value + torch.where(there, torch.inf, 0.0), terms.log_likelihood, terms.kl)


class SquaredMean(OverBatch, Objective):
    """The square of a mean over the batch."""

    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        first = next(model.parameters())
        value = -(first.sum() * batch.x.mean()).square().expand(len(batch))
        return Terms(value, value, {})


def complaint(act: Callable[[], object]) -> str:
    try:
        act()
    except VaekitError as error:
        return f"{type(error).__name__}: {error}"
    return "none"


BATCH_NORM = {"latent": 2, "hidden": (8,), "normalisation": "batch"}
CODES = {"latent": 4, "codes": 8, "dimensions": 3, "code_prior": "uniform"}
SMALL_PRIOR = {"latent": 2, "hidden": (8,)}

CASES: dict[str, Callable[[World], Any]] = {
    "plain": run,
    "sgd": lambda world: run(world, x=ONE_LEFT, optimizer="momentum", clip=0.1, skip=30.0, ema=0.9),
    "adamw": lambda world: run(world, optimizer="adamw", clip=1.0, max_epochs=3, patience=1),
    "fsdp": lambda world: run(world, strategy="fsdp"),
    "fsdp_sgd": lambda world: run(
        world, x=ONE_LEFT, optimizer="momentum", clip=0.1, skip=30.0, ema=0.9, strategy="fsdp"
    ),
    "fsdp_vamp": lambda world: run(world, "vamp_vae", optimizer="sgd", learning_rate=1e-12, strategy="fsdp"),
    "fsdp_rivals": lambda world: complaint(lambda: run(world, "factor_vae", strategy="fsdp", held_out=0)),
    "draws": lambda world: run(world, "vae", optimizer="sgd", learning_rate=1e-12),
    "learned_draws": lambda world: run(world, "vae", ema=0.9),
    "codes": lambda world: run(
        world, "vq_vae", PICTURES, held_out=0, options=CODES, optimizer="sgd", learning_rate=1e-3
    ),
    "batch_norm": lambda world: run(world, "vae", ROWS[:96], options=BATCH_NORM),
    "geco": lambda world: run(world, "geco_vae"),
    "exemplar": lambda world: run(world, "exemplar_vae"),
    "vamp": lambda world: run(world, "vamp_vae"),
    "rivals": lambda world: run(world, "factor_vae"),
    "tc": lambda world: run(world, "beta_tcvae", options={**SMALL_PRIOR, "num_data": 97}),
    "over_batch": lambda world: run(
        world, objective=SquaredMean(), x=ROWS[:16], held_out=0, max_epochs=1, optimizer="sgd"
    ),
    "restless": lambda world: complaint(lambda: run(world, model=restless)),
    "exploding": lambda world: complaint(lambda: run(world, "vae", objective=Exploding())),
    "resumed": lambda world: resumed(world, "ddp"),
    "resumed_fsdp": lambda world: resumed(world, "fsdp"),
    "streamed": streamed,
    "multiplier": lambda world: multiplied(world),
    "exchange": lambda world: exchanged(world),
}


def multiplied(world: World) -> list[float]:
    """A multiplier, told of an excess that is not the same on all ranks."""
    multiplier = Multiplier(speed=0.5)
    own = EXCESS.tensor_split(world.size)[world.rank]
    with in_company(multiplier, world):
        return [float(multiplier(own * step, torch.tensor(step))) for step in range(4)]


EXCESS = torch.tensor([0.3, -0.2, 0.9, 0.7, 0.1])


def exchanged(world: World) -> dict[str, Any]:
    own = torch.full((world.rank + 1, 2), float(world.rank))
    return {
        "sum": world.sum(torch.tensor([1.0, float(world.rank)])).tolist(),
        "agreed": world.agreed(torch.tensor([float(world.rank + 7)])).tolist(),
        "gathered": world.gathered(own).tolist(),
        "any": [world.any(world.rank == 1), world.any(False)],
        "leads": world.leads,
        "noise": world.seed(0),
    }


def lost(world: World) -> None:
    """The second rank is killed in the midst of a run."""
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    run(world)


def failing(world: World) -> None:
    """The second rank alone meets an error."""
    if world.rank == 1:
        raise ZeroDivisionError("on the second rank")
    run(world)


FAILURES = {"lost": lost, "failing": failing}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    try:
        with joining(timedelta(seconds=60)) as world:
            if asked.cases[0] in FAILURES:
                FAILURES[asked.cases[0]](world)
            results = {case: world.collected(CASES[case](world)) for case in asked.cases}
            if world.leads:
                torch.save(results, asked.out)
    except Exception as error:
        if is_told_here(error):
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        leave(3)
    leave(0)
