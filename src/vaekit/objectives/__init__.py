"""Objectives: functions of the trace, to be maximised."""

from vaekit.objectives.adversary import (
    Adversary,
    CodeDiscriminator,
    Critic,
    FactorDiscriminator,
    Opposed,
    Stakes,
)
from vaekit.objectives.bounds import Blend, Bound, PowerMean
from vaekit.objectives.control import Capacity, TargetDistortion, TargetRate
from vaekit.objectives.elbo import Elbo
from vaekit.objectives.enumeration import Enumerate
from vaekit.objectives.gradients import DoublyReparameterised, EncoderFollows, Gradient, Pathwise, StickTheLanding
from vaekit.objectives.importance import Ciwae, Iwae, Miwae, Piwae, Renyi, Weighted
from vaekit.objectives.kl import KL, analytic_kl, coordinate_kl, sampled_kl
from vaekit.objectives.mmd import GaussianKernel, InverseMultiquadric, Kernel, Mmd, mmd_squared
from vaekit.objectives.moments import DipI, DipII
from vaekit.objectives.moves import SmallMoves
from vaekit.objectives.objective import Objective, Step, Terms, TraceObjective
from vaekit.objectives.penalty import LatentPenalty, Penalised, Penalty
from vaekit.objectives.quantization import Commitment
from vaekit.objectives.registry import OBJECTIVES, SCHEDULES
from vaekit.objectives.regularisation import CodeNorm, GradientPenalty, WeightDecay, WeightPrior
from vaekit.objectives.robust import DensityPower, Trimmed
from vaekit.objectives.schedules import Constant, Cosine, Cyclical, Linear, Schedule, falling
from vaekit.objectives.score_function import Disarm, LeaveOneOut, Rloo
from vaekit.objectives.separation import Separated, SeparationWeights
from vaekit.objectives.total_correlation import StratifiedSampling, TotalCorrelation, WeightedSampling

__all__ = [
    "KL",
    "OBJECTIVES",
    "SCHEDULES",
    "Adversary",
    "Blend",
    "Bound",
    "Capacity",
    "Ciwae",
    "CodeDiscriminator",
    "CodeNorm",
    "Commitment",
    "Constant",
    "Cosine",
    "Critic",
    "Cyclical",
    "DensityPower",
    "DipI",
    "DipII",
    "Disarm",
    "DoublyReparameterised",
    "Elbo",
    "EncoderFollows",
    "Enumerate",
    "FactorDiscriminator",
    "GaussianKernel",
    "Gradient",
    "GradientPenalty",
    "InverseMultiquadric",
    "Iwae",
    "Kernel",
    "LatentPenalty",
    "LeaveOneOut",
    "Linear",
    "Miwae",
    "Mmd",
    "Objective",
    "Opposed",
    "Pathwise",
    "Penalised",
    "Penalty",
    "Piwae",
    "PowerMean",
    "Renyi",
    "Rloo",
    "Schedule",
    "Separated",
    "SeparationWeights",
    "SmallMoves",
    "Stakes",
    "Step",
    "StickTheLanding",
    "StratifiedSampling",
    "TargetDistortion",
    "TargetRate",
    "Terms",
    "TotalCorrelation",
    "TraceObjective",
    "Trimmed",
    "WeightDecay",
    "WeightPrior",
    "Weighted",
    "WeightedSampling",
    "analytic_kl",
    "coordinate_kl",
    "falling",
    "mmd_squared",
    "sampled_kl",
]
