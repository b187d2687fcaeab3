"""Groups: columns of one family, explained together; and the registry of the families of columns."""

from __future__ import annotations

from vaekit.common.registry import Registry
from vaekit.families.columns.groups.counts import NegativeBinomialGroup, PoissonGroup
from vaekit.families.columns.groups.group import Group
from vaekit.families.columns.groups.levels import (
    BernoulliGroup,
    CategoricalGroup,
    LowRankCategoricalGroup,
    OrdinalGroup,
)
from vaekit.families.columns.groups.numbers import NormalGroup, PeaksGroup, RoundedGroup, StudentTGroup
from vaekit.families.columns.groups.spikes import SpikedCounts, SpikedNumbers

COLUMN_FAMILIES: Registry[type[Group]] = Registry(
    "column family",
    {
        "normal": NormalGroup,
        "student_t": StudentTGroup,
        "peaks": PeaksGroup,
        "spiked": SpikedNumbers,
        "rounded": RoundedGroup,
        "spiked_counts": SpikedCounts,
        "poisson": PoissonGroup,
        "negative_binomial": NegativeBinomialGroup,
        "bernoulli": BernoulliGroup,
        "categorical": CategoricalGroup,
        "low_rank_categorical": LowRankCategoricalGroup,
        "ordinal": OrdinalGroup,
    },
)
"""The families of columns by name; a log-normal is a normal behind the warp `log`."""
