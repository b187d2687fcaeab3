"""Which marginal explains a column: picked from its kind and its observed values, by a conservative rule.

Levels have the family of their kind. Numbers are normal unless another law explains values that it was not fitted to
clearly better: laws are tried from the simplest on, each is fitted to one half of the values and scored on the other,
and it takes the place of the best so far if it gains 0.05 nats a value, and three standard errors of that. Gains and
losses of single values count for 5 nats at most, so that no outlier decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.common.registry import Registry
from vaekit.families.columns import fits
from vaekit.families.columns.family import Columns
from vaekit.families.columns.fits import Fit
from vaekit.families.columns.marginal import Marginal

LOW_RANK_FROM = 129
"""From so many levels on, a category is explained by a learned vector for each level."""
GAIN = 0.05
"""Nats a value that a law which is less simple must gain."""
APART = 0.5
"""Nats a value that peaks which stand apart gain over tails and a skew."""
ERRORS = 3.0
"""Standard errors of the gain that it must be above 0."""
CLEAR = 5.0
"""Nats that a single value may count for."""
ENOUGH = 40
"""Of fewer values no law but the simplest is fitted."""
MOST = 2000
"""Of more values so many are drawn, to choose by and to fit, with the least and the greatest."""
STRAIGHT = 1.0
"""Kolmogorov's distance from a normal, times the root of the number of values, up to which no other law is tried."""
FEWEST = 10
"""Of fewer distinct values, atoms aside, numbers have no shape but that of a normal."""
SPIKE = 0.1
"""The least share of a value that may be an atom."""
ABOVE = 8.0
"""How many times the share of an atom is that of the distinct values beside it."""
REPEATED, LEAST = 0.002, 20
"""The least share of a value that is repeated, and the least number of cells that hold it."""
ABOVE_MEDIAN = 3.0
"""How many times its share is the median of those of the distinct values beside it."""


def marginal_of(kind: str, levels: Sequence[object], values: Tensor, laws: str = "fitted") -> Marginal:
    """The marginal of a column.

    Args:
        kind: numeric, positive, count, datetime, binary, categorical or ordinal.
        levels: the names of its levels, none for numbers.
        values: its cells `(n,)`, NaN where one is missing.
        laws: by what it is explained, a name in `LAWS`.

    Raises `UsageError` for a kind that is not modelled, unknown laws, values that are no levels, or an infinity.

    >>> marginal_of("binary", ("no", "yes"), torch.tensor([0.0, 1.0, 1.0, torch.nan])).start
    (0.375, 0.625)
    >>> marginal_of("numeric", (), torch.tensor([1.0, 3.0])).shape
    (2.0, 1.0)
    """
    seen = values[~values.isnan()].double().flatten()
    if bool(seen.isinf().any()):
        raise UsageError(f"a {kind} column holds an infinity: mend it, or make it NaN if it is missing")
    return replace(LAWS[laws][kind](seen, len(levels)), holes=len(seen) < values.numel())


def _shares(seen: Tensor, levels: int) -> tuple[float, ...]:
    """The share of each level, each seen half a time more often than it was (Krichevsky and Trofimov, 1981)."""
    if len(seen) and not bool(((seen >= 0) & (seen < levels) & (seen % 1 == 0)).all()):
        raise UsageError(f"levels are whole numbers from 0 to {levels - 1}: a column holds others")
    counts = torch.bincount(seen.long(), minlength=levels).double() + 0.5
    return tuple((counts / counts.sum()).tolist())


def binary(seen: Tensor, levels: int) -> Marginal:
    """Two levels."""
    return Marginal("bernoulli", 2, _shares(seen, 2))


def categorical(seen: Tensor, levels: int) -> Marginal:
    """Levels without an order, rare ones kept."""
    name = "categorical" if levels < LOW_RANK_FROM else "low_rank_categorical"
    return Marginal(name, levels, _shares(seen, levels))


def ordinal(seen: Tensor, levels: int) -> Marginal:
    """Levels in an order."""
    return Marginal("ordinal", levels, _shares(seen, levels))


def atoms_of(seen: Tensor) -> Tensor:
    """Values that are had exactly by many, far more than those beside them; none where nothing else would be left.

    A value is an atom with a share of a tenth, and eight times the mean share of the two distinct values on either
    side of it.

    >>> paid = torch.cat([torch.zeros(80), torch.linspace(1.0, 2.0, 20)])
    >>> atoms_of(paid)
    tensor([0.])
    """
    if len(seen) < ENOUGH:
        return seen[:0]
    values, counts = _thinned(seen).unique(return_counts=True)
    total = counts.sum()
    atoms: Tensor = values[(counts >= SPIKE * total) & (counts >= ABOVE * _around(counts).nanmean(0))]
    return atoms if len(values) - len(atoms) >= FEWEST else values[:0]


def _around(counts: Tensor) -> Tensor:
    """The counts of the two values on either side, `(4, n)`, NaN where there is none."""
    padded = torch.nn.functional.pad(counts.double(), (2, 2), value=torch.nan)
    return torch.stack([padded[at : at + len(counts)] for at in (0, 1, 3, 4)])


def repeated_in(seen: Tensor) -> Tensor:
    """Values that are had exactly by some, far more than those beside them; none where nothing else would be left.

    A value is repeated with a share of 0.002, by 20 at least, if that is three times the median of the two distinct
    values on either side of it.

    >>> worked = torch.cat([torch.linspace(1.0, 70.0, 70), torch.full((40,), 20.0), torch.full((80,), 40.0)])
    >>> repeated_in(worked)
    tensor([20., 40.])
    """
    values, counts = seen.unique(return_counts=True)
    beside = _around(counts).nanmedian(0).values
    repeated: Tensor = values[(counts >= max(REPEATED * len(seen), LEAST)) & (counts >= ABOVE_MEDIAN * beside)]
    return repeated if len(values) - len(repeated) >= FEWEST else values[:0]


AtomsOf = Callable[[Tensor], Tensor]
"""From the observed values of a column to its atoms."""


def numeric(seen: Tensor, levels: int = 0, atoms_of: AtomsOf = atoms_of) -> Marginal:
    """Numbers of any sign: normal, heavy-tailed, skewed or many-peaked, with atoms where there are any."""
    return _of_numbers(seen, atoms_of(seen), [fits.normal, *_SHAPES])


def positive(seen: Tensor, levels: int = 0, atoms_of: AtomsOf = atoms_of) -> Marginal:
    """Positive numbers: also log-normal, if all that are no atoms are above 0."""
    atoms = atoms_of(seen)
    above = bool((without(seen, atoms) > 0).all())
    return _of_numbers(seen, atoms, [fits.normal, *([fits.log_normal] if above else []), *_SHAPES])


def count(seen: Tensor, levels: int = 0, atoms_of: AtomsOf = atoms_of) -> Marginal:
    """Counts: rounded from numbers of any shape, Poisson, or negative binomial; with atoms where there are any."""
    if bool(((seen < 0) | (seen % 1 != 0)).any()):
        return numeric(seen, atoms_of=atoms_of)
    atoms = atoms_of(seen)
    laws = _ROUNDED if len(atoms) else (_ROUNDED[0], poisson, negative_binomial, *_ROUNDED[1:])
    values = _thinned(without(seen, atoms))
    return _spiked(_best(values, laws)(values), "spiked_counts", seen, atoms)


def plain(seen: Tensor, levels: int = 0) -> Marginal:
    """Numbers of any shape, standardised: a normal."""
    return fits.normal(seen)


def sharp(seen: Tensor, levels: int = 0) -> Marginal:
    """Numbers of any shape as a normal, but for what no normal comes near: atoms, else peaks that stand apart."""
    atoms = atoms_of(seen)
    if len(atoms):
        return _spiked(fits.normal(without(seen, atoms)), "spiked", seen, atoms)
    found = _of_numbers(seen, atoms, [fits.normal, *_SHAPES], APART)
    return found if found.family == "peaks" else fits.normal(seen)


def _of_numbers(seen: Tensor, atoms: Tensor, laws: Sequence[Fit], gain: float = GAIN) -> Marginal:
    """The simplest law is fitted to all values, and the only one where it fits, or where there are few values.

    Beside atoms the others are explained by a normal, however warped, so that no other family competes there.
    """
    rest = without(seen, atoms)
    laws = [law for law in laws if law not in _OF_OTHER_FAMILIES] if len(atoms) else laws
    values = dithered(_thinned(rest))
    law = laws[0] if len(rest.unique()) < FEWEST or _is_straight(laws[0], values) else _best(values, laws, gain)
    return _spiked(law(rest if law is laws[0] else values), "spiked", seen, atoms)


def _is_straight(law: Fit, values: Tensor) -> bool:
    return fits.distance_from_normal(law(values), values) * math.sqrt(len(values)) < STRAIGHT


def _best(values: Tensor, laws: Sequence[Fit], gain: float = GAIN) -> Fit:
    """The law that foretells held-out values best, the simplest of those that do so about as well."""
    best = laws[0]
    if len(values) >= ENOUGH and bool(values.max() > values.min()):
        score = _foretold(values, best)
        for law in laws[1:]:
            challenge = _foretold(values, law)
            if _is_clear(challenge - score, gain):
                best, score = law, challenge
    return best


def _is_clear(gains: Tensor, least: float) -> bool:
    """Whether a gain in nats, `(n,)`, is neither small nor chance."""
    capped = gains.nan_to_num(nan=-CLEAR).clamp(-CLEAR, CLEAR)
    error = float(capped.std()) / len(capped) ** 0.5
    return bool(capped.mean() > max(least, ERRORS * error))


def _foretold(values: Tensor, law: Fit) -> Tensor:
    """The log-density of each value by the law as fitted to the other half of the values."""
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(1))
    halves = values[order].chunk(2)
    return torch.cat([_scored(law(other), half) for half, other in zip(halves, reversed(halves), strict=True)])


def _scored(marginal: Marginal, values: Tensor) -> Tensor:
    """The log-density of values by a fit; -inf by one that went astray."""
    astray = not all(map(math.isfinite, marginal.shape))
    return torch.full_like(values, -torch.inf) if astray else log_density(marginal, values)


def log_density(marginal: Marginal, values: Tensor) -> Tensor:
    """The log-density `(n,)` of a column's values by its marginal alone.

    >>> log_density(Marginal("normal", shape=(170.0, 10.0)), torch.tensor([170.0]))  # log N(0; 0, 1) - log 10
    tensor([-3.2215])
    """
    family = Columns((marginal,)).to(values.dtype)
    with torch.no_grad():
        law = family(torch.zeros(1, 1, family.width()).to(values))
        found: Tensor = law.log_prob(values.reshape(1, -1, 1))
        return found.squeeze(0)


def poisson(values: Tensor) -> Marginal:
    """A Poisson by the mean; encoders see the count standardised."""
    return replace(fits.normal(values), family="poisson", start=(_mean_of_counts(values),))


def negative_binomial(values: Tensor) -> Marginal:
    """A negative binomial by mean and variance; encoders see the count standardised."""
    mean = _mean_of_counts(values)
    above = max(float(values.var(correction=0)) - mean, mean**2 / 1e4)
    return replace(fits.normal(values), family="negative_binomial", start=(mean, max(mean**2 / above, 1e-2)))


def _mean_of_counts(values: Tensor) -> float:
    """The mean, with half a count seen once more, so that it is above 0."""
    return (float(values.sum()) + 0.5) / (len(values) + 1)


def _rounding(fit: Fit) -> Fit:
    """The law of counts that are rounded from numbers of a law."""
    return lambda values: replace(fit(dithered(values, 1.0)), family="rounded")


def dithered(values: Tensor, width: float | None = None) -> Tensor:
    """Values spread evenly over the steps that they were rounded to, so that no law gains by the steps.

    Where no width of a step is given, it is what a tenth of the gaps between distinct values do not exceed. What is
    positive stays so.

    >>> dithered(torch.tensor([1.0, 1.0, 2.0, 3.0])).round()
    tensor([1., 1., 2., 3.])
    """
    gaps = values.unique().diff()
    step = width if width is not None else float(gaps.quantile(0.1)) if len(gaps) else 0.0
    noise = torch.rand(values.shape, dtype=values.dtype, generator=torch.Generator().manual_seed(0))
    moved = values + 0.999 * step * (noise - 0.5)
    return torch.where((values > 0) & (moved <= 0), values, moved)


def without(seen: Tensor, atoms: Tensor) -> Tensor:
    """The values that are no atoms."""
    return seen[~torch.isin(seen, atoms)]


def _spiked(rest: Marginal, family: str, seen: Tensor, atoms: Tensor) -> Marginal:
    """The law of the rest with atoms beside it; itself where there are none."""
    if not len(atoms):
        return rest
    sizes = torch.stack([(~torch.isin(seen, atoms)).sum(), *((seen == atom).sum() for atom in atoms)]).double() + 0.5
    start = tuple((sizes / sizes.sum()).tolist())
    return replace(rest, family=family, atoms=tuple(atoms.tolist()), start=start)


def _thinned(seen: Tensor) -> Tensor:
    """So many values, drawn without replacement where there are more, the least and the greatest among them."""
    if len(seen) <= MOST:
        return seen
    order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(2))
    return torch.cat([seen.min().reshape(1), seen.max().reshape(1), seen[order[: MOST - 2]]])


_SHAPES: tuple[Fit, ...] = (fits.student_t, fits.sinh_arcsinh, fits.peaks)
_OF_OTHER_FAMILIES: tuple[Fit, ...] = (fits.student_t, fits.peaks)
_ROUNDED: tuple[Fit, ...] = tuple(_rounding(fit) for fit in (fits.normal, fits.sinh_arcsinh))

Pick = Callable[[Tensor, int], Marginal]
"""From the observed values of a column and the number of its levels to its marginal."""

PICKS: Registry[Pick] = Registry(
    "kind of column",
    {
        "numeric": numeric,
        "positive": positive,
        "count": count,
        "datetime": numeric,
        "binary": binary,
        "categorical": categorical,
        "ordinal": ordinal,
    },
)
"""How the marginal of a column of each kind is picked, from its observed values and the number of its levels."""


def _with_numbers(pick: Pick, **others: Pick) -> Registry[Pick]:
    """The same, with all numbers picked in another way."""
    numbers = dict.fromkeys(("numeric", "positive", "count", "datetime"), pick)
    return Registry("kind of column", {**PICKS, **numbers, **others})


LAWS: Registry[Registry[Pick]] = Registry(
    "laws of columns",
    {
        "fitted": PICKS,
        "plain": _with_numbers(plain),
        "sharp": _with_numbers(sharp),
        "exact": _with_numbers(
            partial(numeric, atoms_of=repeated_in),
            positive=partial(positive, atoms_of=repeated_in),
            count=partial(count, atoms_of=repeated_in),
            ordinal=categorical,
        ),
    },
)
"""By what columns are explained.

- fitted: by what suits their shape; with it log p(x) is highest.
- plain: numbers by a normal, so that what has many peaks keeps them.
- sharp: plain but for atoms and peaks that stand apart, of which a normal would make values that nobody has; without
  the warps that explain tails, so that errors count alike everywhere.
- exact: what is often repeated is an atom, and levels of an order have a probability each, for rows that are to pass
  for real ones.
"""
