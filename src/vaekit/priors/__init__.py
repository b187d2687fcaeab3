"""Priors over latents."""

from vaekit.priors.aggregate import AggregatePosterior
from vaekit.priors.autoregressive import Autoregressive
from vaekit.priors.autoregressive_mixture import AutoregressiveMixture
from vaekit.priors.codes import UniformCodes
from vaekit.priors.exemplar import ExemplarPrior, Nearest, Subset
from vaekit.priors.fits import PRIOR_FITS, AutoregressiveFit, FlowFit, MixtureFit, NormalFit, PriorFit
from vaekit.priors.flow import flow_prior
from vaekit.priors.learned import Ard, LearnedPrior
from vaekit.priors.mixture import LearnedMixture, Mixture
from vaekit.priors.normals import NormalsAround
from vaekit.priors.registry import PRIORS
from vaekit.priors.standard import laplace, standard_normal
from vaekit.priors.vamp import VampPrior
from vaekit.priors.vectors import (
    FixedVectors,
    Neutral,
    beta,
    bits,
    classes,
    dirichlet,
    gamma,
    soft_bits,
    soft_classes,
    sphere_uniform,
)

__all__ = [
    "PRIORS",
    "PRIOR_FITS",
    "AggregatePosterior",
    "Ard",
    "Autoregressive",
    "AutoregressiveFit",
    "AutoregressiveMixture",
    "ExemplarPrior",
    "FixedVectors",
    "FlowFit",
    "LearnedMixture",
    "LearnedPrior",
    "Mixture",
    "MixtureFit",
    "Nearest",
    "Neutral",
    "NormalFit",
    "NormalsAround",
    "PriorFit",
    "Subset",
    "UniformCodes",
    "VampPrior",
    "beta",
    "bits",
    "classes",
    "dirichlet",
    "flow_prior",
    "gamma",
    "laplace",
    "soft_bits",
    "soft_classes",
    "sphere_uniform",
    "standard_normal",
]
