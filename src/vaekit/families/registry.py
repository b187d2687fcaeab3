"""The families by name: one line makes a family known to the command line and to every universal test."""

from __future__ import annotations

from collections.abc import Callable

from torch import Size

from vaekit.common.registry import Registry
from vaekit.core.family import Family
from vaekit.families.bernoulli import Bernoulli, ContinuousBernoulli
from vaekit.families.categorical import Categorical, LearnedCutpoints, OneHot, Ordinal, PredictedCutpoints
from vaekit.families.concrete import Concrete
from vaekit.families.continuous import Beta, Gamma, Laplace, LogNormal, StudentT
from vaekit.families.counts import BetaBinomial, NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from vaekit.families.directional import PowerSpherical, VonMisesFisher
from vaekit.families.gumbel_softmax import GumbelSoftmax
from vaekit.families.images import DiscretisedLogistic, DiscretisedLogisticMixture, Levels256
from vaekit.families.low_rank import LowRankNormal
from vaekit.families.normal import FullNormal, Normal
from vaekit.families.quantize import Codebook, FiniteScalar, Quantize
from vaekit.families.relaxation import SoftBits, SoftClasses
from vaekit.families.scale import Learned, Predicted
from vaekit.families.simplex import Dirichlet
from vaekit.families.straight_through import StraightThrough
from vaekit.families.transformed import Dequantised, Logit, Transformed

FamilyFor = Callable[[Size], Family]

LIKELIHOODS: Registry[FamilyFor] = Registry(
    "likelihood",
    {
        "bernoulli": lambda event: Bernoulli(),
        "continuous_bernoulli": lambda event: ContinuousBernoulli(),
        "normal": lambda event: Normal(Learned()),
        "normal_per_dimension": lambda event: Normal(Learned(event)),
        "normal_by_decoder": lambda event: Normal(Predicted()),
        "laplace": lambda event: Laplace(Learned()),
        "student_t": lambda event: StudentT(Learned()),
        "log_normal": lambda event: LogNormal(Learned()),
        "logit_normal": lambda event: Transformed(Normal(Learned()), Logit()),
        "gamma": lambda event: Gamma(Learned(event, initial=2.0)),
        "beta": lambda event: Beta(Learned(event, initial=4.0)),
        "poisson": lambda event: Poisson(),
        "negative_binomial": lambda event: NegativeBinomial(Learned(event)),
        "zero_inflated_negative_binomial": lambda event: ZeroInflatedNegativeBinomial(Learned(event)),
        "beta_binomial_10": lambda event: BetaBinomial(10, Learned(event, initial=4.0)),
        "categorical_10": lambda event: Categorical(10),
        "ordinal_5": lambda event: Ordinal(LearnedCutpoints(5)),
        "ordinal_5_by_decoder": lambda event: Ordinal(PredictedCutpoints(5)),
        "one_hot": lambda event: OneHot(),
        "levels_256": lambda event: Levels256(),
        "discretised_logistic": lambda event: DiscretisedLogistic(),
        "discretised_logistic_mixture": lambda event: DiscretisedLogisticMixture(),
        "dequantised_logit_normal": lambda event: Dequantised(Transformed(Normal(), Logit())),
    },
)
"""Families of p(x | z) for data of one shape; where a name ends in a number, that many levels, or that total."""

POSTERIORS: Registry[FamilyFor] = Registry(
    "posterior",
    {
        "normal": lambda event: Normal(Predicted()),
        "full_normal": lambda event: FullNormal(),
        "low_rank_normal": lambda event: LowRankNormal(),
        "von_mises_fisher": lambda event: VonMisesFisher(),
        "power_spherical": lambda event: PowerSpherical(),
        "gamma": lambda event: Gamma(),
        "beta": lambda event: Beta(),
        "dirichlet": lambda event: Dirichlet(),
        "bernoulli": lambda event: Bernoulli(),
        "straight_through_bernoulli": lambda event: StraightThrough(Bernoulli()),
        "soft_bernoulli": lambda event: GumbelSoftmax(SoftBits()),
        "concrete_bernoulli": lambda event: Concrete(SoftBits()),
        "classes": lambda event: OneHot(len(event)),
        "straight_through_classes": lambda event: StraightThrough(OneHot(len(event))),
        "soft_classes": lambda event: GumbelSoftmax(SoftClasses(len(event))),
        "straight_through_gumbel": lambda event: GumbelSoftmax(SoftClasses(len(event)), hard=True),
        "concrete_classes": lambda event: Concrete(SoftClasses(len(event))),
        "codebook": lambda event: Quantize(Codebook(256, event[0])),
        "finite_scalar": lambda event: Quantize(FiniteScalar((5,) * event[0])),
    },
)
"""Families of q(z | x) for a latent of one shape. Directions, proportions, classes and codes are vectors along its
first axis. `bernoulli` and `classes` need an objective that learns without a path through their draws: `Rloo`."""
