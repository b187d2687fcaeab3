"""Disentanglement: how far each coordinate of a code stands for one factor of variation, and one alone."""

from vaekit.evaluate.disentangle.importance import DCI, Importances, dci, forest, lasso
from vaekit.evaluate.disentangle.information import (
    InformationGap,
    Modularity,
    modularity,
    mutual_information,
    mutual_information_gap,
)
from vaekit.evaluate.disentangle.interventions import (
    FactorData,
    FactorTable,
    Intervened,
    beta_vae_score,
    factor_vae_score,
)
from vaekit.evaluate.disentangle.representation import Representation
from vaekit.evaluate.disentangle.separation import (
    Explicitness,
    Separation,
    explicitness,
    separated_attribute_predictability,
)

__all__ = [
    "DCI",
    "Explicitness",
    "FactorData",
    "FactorTable",
    "Importances",
    "InformationGap",
    "Intervened",
    "Modularity",
    "Representation",
    "Separation",
    "beta_vae_score",
    "dci",
    "explicitness",
    "factor_vae_score",
    "forest",
    "lasso",
    "modularity",
    "mutual_information",
    "mutual_information_gap",
    "separated_attribute_predictability",
]
