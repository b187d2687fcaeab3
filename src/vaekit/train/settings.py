"""How to train: the settings of a run and the optimisers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral

import torch
from torch import nn
from torch.optim import Optimizer

from vaekit.common.errors import UsageError
from vaekit.common.registry import Registry
from vaekit.core.precision import Precision
from vaekit.objectives import Schedule
from vaekit.train.ranks.strategy import STRATEGIES
from vaekit.train.steps.eager import eager
from vaekit.train.steps.players import Limits

MakeOptimizer = Callable[..., Optimizer]
"""Any torch optimiser's class: called with the parameters and `lr`."""

OPTIMIZERS: Registry[MakeOptimizer] = Registry(
    "optimizer",
    {
        "adam": partial(eager(torch.optim.Adam), fused=True),
        "adamw": partial(eager(torch.optim.AdamW), fused=True),
        "adamax": eager(torch.optim.Adamax),
        "sgd": eager(torch.optim.SGD),
        "momentum": partial(eager(torch.optim.SGD), momentum=0.9, nesterov=True),
    },
)

PRECISIONS: Registry[Precision] = Registry(
    "precision",
    {
        "auto": Precision(tensor_cores=True),
        "float32": Precision(),
        "bfloat16": Precision(torch.bfloat16, tensor_cores=True),
    },
)
CAPTURABLE: Mapping[str, Mapping[str, bool]] = {
    **{name: {"capturable": True} for name in ("adam", "adamw", "adamax")},
    **{name: {"fused": True} for name in ("sgd", "momentum")},
}
"""What makes an optimiser fit for a recorded graph: nothing in its step may wait for the device."""


@dataclass(frozen=True)
class Settings:
    """How to train. The defaults are the classic example's, with early stopping where rows are held out.

    Raises `UsageError` for a setting out of its range.
    """

    max_epochs: int = 50
    batch_size: int = 128
    learning_rate: float | Schedule = 1e-3
    optimizer: str | MakeOptimizer = "adam"
    clip: float | None = None
    """Largest norm of the gradient; a longer one is scaled down to it."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights; the average is what is evaluated and kept."""
    patience: int = 10
    """Epochs without a better held-out ELBO before training stops; the best weights are kept."""
    seed: int = 0
    precision: str = "auto"
    """What the nets compute in while they learn: float32, bfloat16, or auto, which on a GPU allows TF32.

    Densities, bounds and evaluation are in float32 always."""
    skip: float | None = None
    """Largest norm of a gradient that is used at all: an update with a longer one is skipped."""
    strategy: str = "ddp"
    """Over several ranks: "ddp", all weights in each, or "fsdp", a piece of every net's in each."""
    compile: bool = False
    """Compile the gradient as a whole before the first step: that takes up to a minute, and pays in long runs."""

    def __post_init__(self) -> None:
        for name in ("max_epochs", "batch_size", "patience"):
            _require_whole(name, getattr(self, name))
        _require(self.max_epochs >= 1, f"max_epochs is {self.max_epochs}: train for at least 1")
        _require(self.batch_size >= 1, f"batch_size is {self.batch_size}: a batch has at least 1 example")
        _require(self.patience >= 1, f"patience is {self.patience}: wait for at least 1 epoch")
        _require(self.clip is None or self.clip > 0, f"clip is {self.clip}: the norm must be positive")
        _require(self.skip is None or self.skip > 0, f"skip is {self.skip}: the norm must be positive")
        PRECISIONS[self.precision]
        STRATEGIES[self.strategy]
        _require(self.ema is None or 0 < self.ema < 1, f"ema is {self.ema}: the decay lies between 0 and 1")
        rate = self.learning_rate
        _require(isinstance(rate, Schedule) or rate > 0, f"learning_rate is {rate}: it must be positive")

    @property
    def limits(self) -> Limits:
        """How long a gradient may be."""
        return Limits(self.clip, self.skip)

    def make_optimizer(self, parameters: Sequence[nn.Parameter], rate: float) -> Optimizer:
        """The optimiser over these parameters; on a GPU one that a graph can hold, its rate a tensor."""
        make = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
        device = next((weight.device for weight in parameters), torch.device("cpu"))
        if device.type != "cuda" or not isinstance(self.optimizer, str):
            return make(parameters, lr=rate)
        return make(parameters, lr=torch.tensor(rate, device=device), **CAPTURABLE.get(self.optimizer, {}))


def _require_whole(name: str, value: object) -> None:
    _require(isinstance(value, Integral), f"{name} is {value}: it must be a whole number")


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise UsageError(complaint)
