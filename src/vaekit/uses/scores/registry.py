"""The scores by name."""

from __future__ import annotations

from vaekit.common.registry import Registry
from vaekit.uses.scores.complexity import Complexity
from vaekit.uses.scores.distance import Mahalanobis
from vaekit.uses.scores.likelihood import Latent, LogEvidence, NegativeElbo, Reconstruction
from vaekit.uses.scores.regret import LikelihoodRegret
from vaekit.uses.scores.scorer import Scorer
from vaekit.uses.scores.typicality import Typicality

SCORES: Registry[Scorer] = Registry(
    "score",
    {
        "log_evidence": LogEvidence(),
        "elbo": NegativeElbo(),
        "reconstruction": Reconstruction(),
        "latent": Latent(),
        "mahalanobis": Mahalanobis(),
        "likelihood_regret": LikelihoodRegret(),
        "complexity": Complexity(),
        "typicality": Typicality(),
    },
)
"""Scores of how odd a row is; `log_evidence`, -log p(x), is the default. Those that are `LearnsRows` need known rows
first, see `ready`."""
