"""Objectives: functions of the trace, to be maximised."""

from vaekit.objectives.elbo import Elbo
from vaekit.objectives.kl import KL, analytic_kl, coordinate_kl, sampled_kl
from vaekit.objectives.objective import Objective, Step, Terms, TraceObjective
from vaekit.objectives.registry import OBJECTIVES, SCHEDULES
from vaekit.objectives.schedules import Constant, Cosine, Cyclical, Linear, Schedule

__all__ = [
    "KL",
    "OBJECTIVES",
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Cyclical",
    "Elbo",
    "Linear",
    "Objective",
    "Schedule",
    "Step",
    "Terms",
    "TraceObjective",
    "analytic_kl",
    "coordinate_kl",
    "sampled_kl",
]
