"""Anomaly scores: how odd each row is, by name; each column's share of it; what it means beside known rows."""

from vaekit.uses.scores.aggregate import aggregated
from vaekit.uses.scores.complexity import Complexity, code_length
from vaekit.uses.scores.distance import Mahalanobis
from vaekit.uses.scores.ensemble import Ensemble, Member
from vaekit.uses.scores.likelihood import Latent, LogEvidence, NegativeElbo, Reconstruction
from vaekit.uses.scores.reference import Reference
from vaekit.uses.scores.registry import SCORES
from vaekit.uses.scores.regret import LikelihoodRegret
from vaekit.uses.scores.scorer import Average, LearnsRows, Mixture, Pool, Scorer, ready
from vaekit.uses.scores.shares import Shares, shares
from vaekit.uses.scores.typicality import Typicality

__all__ = [
    "SCORES",
    "Average",
    "Complexity",
    "Ensemble",
    "Latent",
    "LearnsRows",
    "LikelihoodRegret",
    "LogEvidence",
    "Mahalanobis",
    "Member",
    "Mixture",
    "NegativeElbo",
    "Pool",
    "Reconstruction",
    "Reference",
    "Scorer",
    "Shares",
    "Typicality",
    "aggregated",
    "code_length",
    "ready",
    "shares",
]
