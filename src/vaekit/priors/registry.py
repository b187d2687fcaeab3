"""The priors by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Size

from vaekit.common.registry import Registry
from vaekit.core.conditional import Conditional
from vaekit.families import Bits, Classes, FullNormal
from vaekit.flows import coupling, maf
from vaekit.priors.autoregressive import Autoregressive
from vaekit.priors.flow import flow_prior
from vaekit.priors.learned import Ard, LearnedPrior
from vaekit.priors.mixture import LearnedMixture
from vaekit.priors.standard import event_of_prior, laplace, standard_normal
from vaekit.priors.vectors import beta, bits, classes, dirichlet, gamma, soft_bits, soft_classes, sphere_uniform

PRIORS: Registry[Callable[[Size], Conditional]] = Registry(
    "prior",
    {
        "standard_normal": standard_normal,
        "laplace": laplace,
        "full_normal": lambda event: LearnedPrior(FullNormal(), event),
        "ard": Ard,
        "mixture": LearnedMixture,
        "maf": lambda event: flow_prior(event, maf),
        "coupling": lambda event: flow_prior(event, coupling),
        "sphere_uniform": sphere_uniform,
        "dirichlet": dirichlet,
        "gamma": gamma,
        "beta": beta,
        "bits": bits,
        "classes": classes,
        "soft_bits": soft_bits,
        "soft_classes": soft_classes,
        "autoregressive_bits": lambda event: Autoregressive(Bits(event_of_prior(event)[0]), event),
        "autoregressive_classes": lambda event: Autoregressive(Classes(event_of_prior(event)[0]), event),
    },
)
