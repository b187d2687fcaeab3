"""Evaluation: how far a model's numbers can be trusted, and what they are."""

from vaekit.evaluate.activity import ACTIVE, Activity, activity
from vaekit.evaluate.evaluation import Evaluation, evaluate, posterior_means
from vaekit.evaluate.evidence import Evidence, log_evidence

__all__ = [
    "ACTIVE",
    "Activity",
    "Evaluation",
    "Evidence",
    "activity",
    "evaluate",
    "log_evidence",
    "posterior_means",
]
