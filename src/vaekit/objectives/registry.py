"""The objectives and schedules by name: one line makes one known to every universal test."""

from __future__ import annotations

from collections.abc import Callable

from vaekit.common.registry import Registry
from vaekit.objectives.elbo import Elbo
from vaekit.objectives.kl import sampled_kl
from vaekit.objectives.objective import Objective
from vaekit.objectives.schedules import Constant, Cosine, Cyclical, Linear, Schedule

OBJECTIVES: Registry[Callable[[], Objective]] = Registry(
    "objective",
    {
        "elbo": Elbo,
        "elbo_sampled": lambda: Elbo(kl=sampled_kl),
        "elbo_8_samples": lambda: Elbo(samples=8),
        "beta": lambda: Elbo(beta=4.0),
        "annealed": lambda: Elbo(beta=Linear(0.0, 1.0, 1000)),
        "free_bits": lambda: Elbo(free_bits=0.25),
    },
)

SCHEDULES: Registry[Callable[..., Schedule]] = Registry(
    "schedule", {"constant": Constant, "linear": Linear, "cosine": Cosine, "cyclical": Cyclical}
)
