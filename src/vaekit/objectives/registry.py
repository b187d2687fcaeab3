"""The objectives and schedules by name: one line makes one known to every universal test."""

from __future__ import annotations

from collections.abc import Callable

from vaekit.common.registry import Registry
from vaekit.objectives.control import Capacity, TargetDistortion, TargetRate
from vaekit.objectives.elbo import Elbo
from vaekit.objectives.enumeration import Enumerate
from vaekit.objectives.gradients import DoublyReparameterised, StickTheLanding
from vaekit.objectives.importance import Ciwae, Iwae, Miwae, Piwae, Renyi
from vaekit.objectives.kl import sampled_kl
from vaekit.objectives.mmd import GaussianKernel, Mmd
from vaekit.objectives.moments import DipI, DipII
from vaekit.objectives.objective import Objective
from vaekit.objectives.quantization import Commitment
from vaekit.objectives.regularisation import CodeNorm, GradientPenalty, WeightDecay, WeightPrior
from vaekit.objectives.robust import DensityPower, Trimmed
from vaekit.objectives.schedules import Constant, Cosine, Cyclical, Linear, Schedule
from vaekit.objectives.score_function import Disarm, LeaveOneOut, Rloo
from vaekit.objectives.total_correlation import TotalCorrelation, WeightedSampling

OBJECTIVES: Registry[Callable[[], Objective]] = Registry(
    "objective",
    {
        "elbo": Elbo,
        "elbo_sampled": lambda: Elbo(kl=sampled_kl),
        "elbo_8_samples": lambda: Elbo(samples=8),
        "rloo": Rloo,
        "disarm": Disarm,
        "iwae_leave_one_out": lambda: Iwae(samples=8, gradient=LeaveOneOut()),
        "commitment": lambda: Elbo() + Commitment(),
        "beta": lambda: Elbo(beta=4.0),
        "annealed": lambda: Elbo(beta=Linear(0.0, 1.0, 1000)),
        "free_bits": lambda: Elbo(free_bits=0.25),
        "iwae": Iwae,
        "iwae_doubly_reparameterised": lambda: Iwae(gradient=DoublyReparameterised()),
        "elbo_sticking_the_landing": lambda: Iwae(1, StickTheLanding()),
        "miwae": lambda: Miwae(samples=4, groups=4),
        "piwae": lambda: Piwae(samples=4, groups=4),
        "ciwae": Ciwae,
        "renyi": Renyi,
        "target_distortion": lambda: TargetDistortion(3.0),
        "target_rate": lambda: TargetRate(2.0),
        "capacity": lambda: Capacity(Linear(0.0, 5.0, 1000)),
        "total_correlation": lambda: Elbo() + TotalCorrelation(5.0, num_data=1000),
        "total_correlation_weighted": lambda: Elbo() + TotalCorrelation(5.0, 1000, aggregation=WeightedSampling),
        "dip_i": lambda: Elbo() + DipI(),
        "dip_ii": lambda: Elbo() + DipII(),
        "mmd": lambda: Elbo(beta=0.0) + Mmd(100.0),
        "mmd_gaussian": lambda: Elbo(beta=0.0) + Mmd(100.0, GaussianKernel()),
        "code_norm": lambda: Elbo(beta=0.0) + CodeNorm(),
        "gradient_penalty": lambda: Elbo() + GradientPenalty(),
        "weight_decay": lambda: Elbo() + WeightDecay(),
        "weight_prior": lambda: Elbo() + WeightPrior(1000),
        "trimmed": lambda: Trimmed(Elbo(), 0.1),
        "density_power": DensityPower,
        "enumerate": lambda: Enumerate("y", Elbo()),
    },
)

SCHEDULES: Registry[Callable[..., Schedule]] = Registry(
    "schedule", {"constant": Constant, "linear": Linear, "cosine": Cosine, "cyclical": Cyclical}
)
