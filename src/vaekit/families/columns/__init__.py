"""Columns of mixed tables: each explained on its own scale, and seen by encoders at unit scale."""

from vaekit.families.columns.choose import marginal_of
from vaekit.families.columns.family import Columns, ColumnsDistribution
from vaekit.families.columns.features import TableFeatures
from vaekit.families.columns.groups import COLUMN_FAMILIES
from vaekit.families.columns.marginal import Marginal
from vaekit.families.columns.warps import WARPS

__all__ = [
    "COLUMN_FAMILIES",
    "WARPS",
    "Columns",
    "ColumnsDistribution",
    "Marginal",
    "TableFeatures",
    "marginal_of",
]
