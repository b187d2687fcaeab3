"""Families of distributions: what a net's output means."""

from vaekit.families import divergences  # noqa: F401  (registers its KL divergences)
from vaekit.families.bernoulli import Bernoulli, ContinuousBernoulli
from vaekit.families.categorical import Categorical, Cutpoints, LearnedCutpoints, OneHot, Ordinal, PredictedCutpoints
from vaekit.families.codes import Bits, Classes, Codes
from vaekit.families.concrete import Concrete
from vaekit.families.continuous import Beta, Gamma, Laplace, LogNormal, StudentT
from vaekit.families.counts import BetaBinomial, NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from vaekit.families.directional import PowerSpherical, VonMisesFisher
from vaekit.families.gumbel_softmax import GumbelSoftmax
from vaekit.families.images import DiscretisedLogistic, DiscretisedLogisticMixture, Levels256
from vaekit.families.low_rank import LowRankNormal
from vaekit.families.missing import Observed
from vaekit.families.multinomial import Multinomial
from vaekit.families.normal import FullNormal, Normal
from vaekit.families.not_at_random import ByColumn, ByNet, Missingness, NotAtRandom, SelfMasking, SelfMaskingOneWay
from vaekit.families.quantize import Codebook, FiniteScalar, Quantize, Quantizer, ResidualCodebook
from vaekit.families.registry import LIKELIHOODS, POSTERIORS
from vaekit.families.relaxation import Relaxation, SoftBits, SoftClasses
from vaekit.families.scale import Known, Learned, Predicted, Scale, positive
from vaekit.families.simplex import Dirichlet
from vaekit.families.special import Link, exponential
from vaekit.families.straight_through import StraightThrough
from vaekit.families.transformed import Bijection, Dequantised, Log, Logit, Standardise, Transformed

__all__ = [
    "LIKELIHOODS",
    "POSTERIORS",
    "Bernoulli",
    "Beta",
    "BetaBinomial",
    "Bijection",
    "Bits",
    "ByColumn",
    "ByNet",
    "Categorical",
    "Classes",
    "Codebook",
    "Codes",
    "Concrete",
    "ContinuousBernoulli",
    "Cutpoints",
    "Dequantised",
    "Dirichlet",
    "DiscretisedLogistic",
    "DiscretisedLogisticMixture",
    "FiniteScalar",
    "FullNormal",
    "Gamma",
    "GumbelSoftmax",
    "Known",
    "Laplace",
    "Learned",
    "LearnedCutpoints",
    "Levels256",
    "Link",
    "Log",
    "LogNormal",
    "Logit",
    "LowRankNormal",
    "Missingness",
    "Multinomial",
    "NegativeBinomial",
    "Normal",
    "NotAtRandom",
    "Observed",
    "OneHot",
    "Ordinal",
    "Poisson",
    "PowerSpherical",
    "Predicted",
    "PredictedCutpoints",
    "Quantize",
    "Quantizer",
    "Relaxation",
    "ResidualCodebook",
    "Scale",
    "SelfMasking",
    "SelfMaskingOneWay",
    "SoftBits",
    "SoftClasses",
    "Standardise",
    "StraightThrough",
    "StudentT",
    "Transformed",
    "VonMisesFisher",
    "ZeroInflatedNegativeBinomial",
    "exponential",
    "positive",
]
