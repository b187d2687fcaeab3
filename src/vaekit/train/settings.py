"""How to train: the settings of a run and the optimisers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.optim import Optimizer

from vaekit.common.errors import UsageError
from vaekit.common.registry import Registry
from vaekit.objectives import Schedule

MakeOptimizer = Callable[..., Optimizer]
"""Any torch optimiser's class: called with the parameters and `lr`."""

OPTIMIZERS: Registry[MakeOptimizer] = Registry(
    "optimizer",
    {
        "adam": partial(torch.optim.Adam, fused=True),
        "adamw": partial(torch.optim.AdamW, fused=True),
        "adamax": torch.optim.Adamax,
        "sgd": torch.optim.SGD,
        "momentum": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    },
)


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

    def __post_init__(self) -> None:
        _require(self.max_epochs >= 1, f"max_epochs is {self.max_epochs}: train for at least 1")
        _require(self.batch_size >= 1, f"batch_size is {self.batch_size}: a batch has at least 1 example")
        _require(self.patience >= 1, f"patience is {self.patience}: wait for at least 1 epoch")
        _require(self.clip is None or self.clip > 0, f"clip is {self.clip}: the norm must be positive")
        _require(self.ema is None or 0 < self.ema < 1, f"ema is {self.ema}: the decay lies between 0 and 1")
        rate = self.learning_rate
        _require(isinstance(rate, Schedule) or rate > 0, f"learning_rate is {rate}: it must be positive")

    def make_optimizer(self, parameters: Iterable[nn.Parameter], rate: float) -> Optimizer:
        """The optimiser over these parameters."""
        make = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
        return make(parameters, lr=rate)


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise UsageError(complaint)
