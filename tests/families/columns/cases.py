"""One marginal for each family of columns and each warp, and rules to sum and integrate over their cells."""

from __future__ import annotations

import torch
from torch import Tensor

from families.quadrature import half_line, real_line
from vaekit.families.columns import Columns, ColumnsDistribution, Marginal

PEAKS = (0.5, 2.0, 0.3, 0.7, -1.0, 0.5, 0.2, 0.4)
BENT = (0.4, 0.6, 1.0, 2.0)

NUMBERS = {
    "normal": Marginal("normal", shape=(3.0, 2.0)),
    "log-normal": Marginal("normal", warp="log", shape=(0.5, 0.7)),
    "skewed": Marginal("normal", warp="sinh_arcsinh", shape=BENT),
    "many peaks": Marginal("normal", warp="gaussianise", shape=PEAKS),
    "peaks": Marginal("peaks", start=(0.3, 0.7, -1.0, 0.5, 0.2, 0.4), shape=(0.5, 2.0)),
    "student t": Marginal("student_t", start=(2.0,), shape=(1.0, 3.0)),
}
SPIKED = {
    "atoms": Marginal("spiked", start=(0.5, 0.3, 0.2), shape=(1.0, 2.0), atoms=(0.0, 4.0)),
    "atom below a log-normal": Marginal("spiked", start=(0.4, 0.6), warp="log", shape=(0.5, 0.7), atoms=(0.0,)),
}
COUNTS = {
    "poisson": Marginal("poisson", start=(3.5,), shape=(3.5, 2.0)),
    "negative binomial": Marginal("negative_binomial", start=(3.5, 1.2), shape=(3.5, 4.0)),
    "rounded": Marginal("rounded", shape=(4.0, 1.5)),
    "rounded, skewed": Marginal("rounded", warp="sinh_arcsinh", shape=(0.4, 0.6, 3.0, 2.0)),
    "rounded, many peaks": Marginal("rounded", warp="gaussianise", shape=(4.0, 2.0, *PEAKS[2:])),
    "counts with atoms": Marginal("spiked_counts", start=(0.4, 0.5, 0.1), shape=(6.0, 3.0), atoms=(0.0, 7.0)),
}
LEVELS = {
    "binary": Marginal("bernoulli", 2, (0.3, 0.7)),
    "categorical": Marginal("categorical", 5, (0.1, 0.2, 0.3, 0.15, 0.25)),
    "many levels": Marginal("low_rank_categorical", 40, tuple((torch.arange(1, 41) / 820).tolist())),
    "ordinal": Marginal("ordinal", 4, (0.1, 0.4, 0.3, 0.2)),
    "ordinal of two": Marginal("ordinal", 2, (0.6, 0.4)),
}
ALL = NUMBERS | SPIKED | COUNTS | LEVELS
MIXED = tuple(ALL[name] for name in ("binary", "normal", "ordinal", "skewed", "categorical", "rounded", "student t"))


def family_of(*marginals: Marginal) -> Columns:
    """The family in float64, with parameters of its own that are not where they start."""
    family = Columns(marginals).double()
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return family


def law_of(*marginals: Marginal, batch: int = 1, samples: int = 1) -> ColumnsDistribution:
    """The distribution of rows for random parameters."""
    family = family_of(*marginals)
    return family(0.5 * torch.randn(samples, batch, family.width(), dtype=torch.float64))


def at_rest(*marginals: Marginal) -> ColumnsDistribution:
    """The distribution where the net says 0 and nothing was learned."""
    family = Columns(marginals).double()
    return family(torch.zeros(1, 1, family.width(), dtype=torch.float64))


def rule_of(marginal: Marginal) -> tuple[Tensor, Tensor]:
    """Cells `(n,)` of a column and weights, which sum f over its counts and levels and integrate over its numbers."""
    if marginal.levels:
        return torch.arange(marginal.levels).double(), torch.ones(marginal.levels).double()
    if marginal.family in ("poisson", "negative_binomial", "rounded", "spiked_counts"):
        return torch.arange(3000).double(), torch.ones(3000).double()
    line = half_line if marginal.warp == "log" else real_line
    nodes, weights = line(20001, 20.0)
    if not marginal.atoms:
        return nodes, weights
    between = ~torch.isin(nodes, torch.tensor(marginal.atoms).double())
    atoms = torch.tensor(marginal.atoms).double()
    return torch.cat([nodes[between], atoms]), torch.cat([weights[between], torch.ones_like(atoms)])
