"""The families by name: one line makes a family known to the command line and to every universal test."""

from __future__ import annotations

from collections.abc import Callable

from torch import Size

from vaekit.common.registry import Registry
from vaekit.core.family import Family
from vaekit.families.bernoulli import Bernoulli, ContinuousBernoulli
from vaekit.families.normal import FullNormal, Normal
from vaekit.families.scale import Learned, Predicted

FamilyFor = Callable[[Size], Family]

LIKELIHOODS: Registry[FamilyFor] = Registry(
    "likelihood",
    {
        "bernoulli": lambda event: Bernoulli(),
        "continuous_bernoulli": lambda event: ContinuousBernoulli(),
        "normal": lambda event: Normal(Learned()),
        "normal_per_dimension": lambda event: Normal(Learned(event)),
        "normal_by_decoder": lambda event: Normal(Predicted()),
    },
)

POSTERIORS: Registry[FamilyFor] = Registry(
    "posterior",
    {
        "normal": lambda event: Normal(Predicted()),
        "full_normal": lambda event: FullNormal(),
    },
)
