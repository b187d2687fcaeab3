"""Evaluation: how far a model's numbers can be trusted, and what they are."""

from vaekit.evaluate.activity import ACTIVE, Activity, activity
from vaekit.evaluate.aggregate import CoordinateInformation, Information, LatentInformation, information
from vaekit.evaluate.annealing import Annealed, Bracket, annealed, bracket, reverse_annealed
from vaekit.evaluate.chains import Annealing, FromPosterior, FromPrior, Start
from vaekit.evaluate.checks import PredictiveCheck, posterior_replicate, predictive_check, prior_replicate
from vaekit.evaluate.clustering import Matching, matching
from vaekit.evaluate.coherence import npmi
from vaekit.evaluate.comparison import AggregateFit, Discrimination, Moments, TwoSample, against_prior, two_sample
from vaekit.evaluate.disentangle import (
    DCI,
    Explicitness,
    FactorData,
    FactorTable,
    Importances,
    InformationGap,
    Intervened,
    Modularity,
    Representation,
    Separation,
    beta_vae_score,
    dci,
    explicitness,
    factor_vae_score,
    forest,
    lasso,
    modularity,
    mutual_information_gap,
    separated_attribute_predictability,
)
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.evaluation import Evaluation, evaluate, posterior_means
from vaekit.evaluate.evidence import Evidence, log_evidence
from vaekit.evaluate.features import Extractor, LabelFeatures, PrincipalComponents, Score, label_features, pixels
from vaekit.evaluate.frechet import frechet_distance, frechet_limit
from vaekit.evaluate.imputation import Recovery, coverage, recovery
from vaekit.evaluate.kernel_distance import kernel_distance
from vaekit.evaluate.neighbours import Memorisation, Neighbourhood, memorisation, neighbourhood
from vaekit.evaluate.rate import RateDistortion, rate_distortion
from vaekit.evaluate.significance import KolmogorovSmirnov, Superiority
from vaekit.evaluate.simulations import Calibration, calibration

__all__ = [
    "ACTIVE",
    "DCI",
    "Activity",
    "AggregateFit",
    "Annealed",
    "Annealing",
    "Bracket",
    "Calibration",
    "CoordinateInformation",
    "Discrimination",
    "Estimate",
    "Evaluation",
    "Evidence",
    "Explicitness",
    "Extractor",
    "FactorData",
    "FactorTable",
    "FromPosterior",
    "FromPrior",
    "Importances",
    "Information",
    "InformationGap",
    "Intervened",
    "KolmogorovSmirnov",
    "LabelFeatures",
    "LatentInformation",
    "Matching",
    "Memorisation",
    "Modularity",
    "Moments",
    "Neighbourhood",
    "PredictiveCheck",
    "PrincipalComponents",
    "RateDistortion",
    "Recovery",
    "Representation",
    "Score",
    "Separation",
    "Start",
    "Superiority",
    "TwoSample",
    "activity",
    "against_prior",
    "annealed",
    "beta_vae_score",
    "bracket",
    "calibration",
    "coverage",
    "dci",
    "evaluate",
    "explicitness",
    "factor_vae_score",
    "forest",
    "frechet_distance",
    "frechet_limit",
    "information",
    "kernel_distance",
    "label_features",
    "lasso",
    "log_evidence",
    "matching",
    "memorisation",
    "modularity",
    "mutual_information_gap",
    "neighbourhood",
    "npmi",
    "pixels",
    "posterior_means",
    "posterior_replicate",
    "predictive_check",
    "prior_replicate",
    "rate_distortion",
    "recovery",
    "reverse_annealed",
    "separated_attribute_predictability",
    "two_sample",
]
