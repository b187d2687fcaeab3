"""Samples among data by nearest neighbours: what is real, what is covered, what is copied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.evaluate.evidence import row_slices
from vaekit.evaluate.features import Extractor, both_features, features, name_of, pixels
from vaekit.evaluate.kernels import squared_distances
from vaekit.evaluate.significance import Superiority, superiority

PAIRS_AT_ONCE = 2**24
"""How many distances are held at once: 128 MiB in float64."""
ROUNDING = 1e-10
"""Relative to the data's spread, the squared distance within which two points count as one."""
COARSE = 3e-6
"""Relative to the data's spread, how far a squared distance in float32 may be off."""
SPARE = 4
"""Rows beyond those asked for that are looked at closely, where float32 may have misplaced them."""


@dataclass(frozen=True)
class Neighbourhood:
    """How samples and data lie among each other, by k nearest neighbours in an extractor's features.

    More is better for all four. With equal distributions precision, recall and density tend to 1 only as far as k
    neighbours can tell (`coverage` to 1 - 2^-k at equal numbers); compare at equal extractor, k, n and rows.
    """

    precision: float
    """Share of samples that lie within reach of a row."""
    recall: float
    """Share of rows that lie within reach of a sample."""
    density: float
    """Rows within whose reach a sample lies, in units of k: 1 on average where samples are as the data, maybe more."""
    coverage: float
    """Share of rows with a sample within reach."""
    extractor: str
    k: int
    n: int
    """How many samples."""
    rows: int
    """How many rows of data."""

    def __str__(self) -> str:
        named = ("precision", "recall", "density", "coverage")
        scores = ", ".join(f"{name}[{self.extractor}] = {getattr(self, name):.3g}" for name in named)
        return f"{scores}, by {self.k} neighbours, from {self.n} samples and {self.rows} rows"


def neighbourhood(samples: Tensor, data: Tensor, extractor: Extractor = pixels, k: int = 5) -> Neighbourhood:
    """Precision and recall, density and coverage. A point's reach is the distance of its k-th nearest of its own kind.

    Args:
        samples: `(n, *event)`.
        data: `(rows, *event)`.
        extractor: of features.
        k: neighbours.

    Source: Kynkäänniemi et al., 2019 (precision, recall); Naeem et al., 2020 (density, coverage).

    Raises `UsageError` where there are not more than k of each.

    >>> found = neighbourhood(torch.randn(100, 2) + 50, torch.randn(100, 2))
    >>> found.precision, found.recall, found.density, found.coverage
    (0.0, 0.0, 0.0, 0.0)
    """
    if not 1 <= k < min(len(samples), len(data)):
        raise UsageError(f"{k} neighbours among {len(samples)} samples and {len(data)} rows: choose fewer, from 1")
    a, b = _centred(*both_features(extractor, samples, data))
    reach_a, reach_b = _kth_nearest(a, k), _kth_nearest(b, k)
    among = _among(a, b, reach_a, reach_b)
    return Neighbourhood(
        precision=_share(among.rows_reaching > 0),
        recall=_share(among.reached),
        density=float(among.rows_reaching.double().mean()) / k,
        coverage=_share(among.nearest <= reach_b),
        extractor=name_of(extractor),
        k=k,
        n=len(samples),
        rows=len(data),
    )


@dataclass(frozen=True)
class Among:
    """How n samples lie among m rows."""

    rows_reaching: Tensor
    """Within how many rows' reach each sample lies, `(n,)`."""
    reached: Tensor
    """Whether each row lies within reach of a sample, `(m,)`."""
    nearest: Tensor
    """The squared distance of each row from its nearest sample, `(m,)`."""


def _among(samples: Tensor, rows: Tensor, reach_of_samples: Tensor, reach_of_rows: Tensor) -> Among:
    """All of it from one pass over the distances; in float32, twice as fast, where no reach is too small for that."""
    smallest = torch.minimum(reach_of_samples.min(), reach_of_rows.min())
    if smallest > 1000 * _coarse_error(rows):
        sides = (samples, rows, reach_of_samples, reach_of_rows)
        samples, rows, reach_of_samples, reach_of_rows = (side.float() for side in sides)
    rows_reaching, reached = [], torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    nearest = torch.full_like(reach_of_rows, math.inf)
    for some, distances in zip(_chunks(samples, rows), _distances(samples, rows), strict=True):
        rows_reaching.append((distances <= reach_of_rows).sum(1))
        reached |= (distances <= reach_of_samples[some].unsqueeze(1)).any(0)
        nearest = torch.minimum(nearest, distances.amin(0))
    return Among(torch.cat(rows_reaching), reached, nearest)


@dataclass(frozen=True)
class Memorisation:
    """Whether samples lie nearer to the training rows than other rows of the data do. See `memorisation`."""

    closer: Superiority
    """How often a held-out row is farther from its nearest training row than a sample from its own: 0.5 where the
    samples are as good as new data, 1 where they are copies."""
    copies: float
    """Share of samples nearer to a training row than 95 % of the held-out rows are: 0.05 where they are as new."""
    sample_distance: float
    """Median distance of a sample from its nearest training row."""
    held_out_distance: float
    """Median distance of a held-out row from its nearest training row."""
    extractor: str
    n: int
    """How many samples."""

    @property
    def p_value(self) -> float:
        """Of the samples being that near, were they new data. Poor samples are far from all rows: it is then near 1."""
        return self.closer.p_value


def memorisation(samples: Tensor, training: Tensor, held_out: Tensor, extractor: Extractor = pixels) -> Memorisation:
    """Hold the distance of samples from the training rows against that of rows that were not trained on.

    Samples that are means, or greys where the rows are bits, are not of the rows' kind, and their distances no measure.

    Args:
        samples: `(n, *event)`.
        training: `(rows, *event)`, all that the model was trained on.
        held_out: `(others, *event)` from the same population.
        extractor: of features.

    Source: Meehan, Chaudhuri and Dasgupta, 2020.

    >>> training, held_out = torch.randn(200, 2), torch.randn(200, 2)
    >>> memorisation(training[:100], training, held_out).copies
    1.0
    """
    a, b = both_features(extractor, samples, training)
    a, b, c = _centred(a, b, features(extractor, held_out).to(b.device))
    of_samples, of_held_out = nearest(a, b), nearest(c, b)
    return Memorisation(
        closer=superiority(of_held_out, of_samples),
        copies=_share(of_samples < of_held_out.quantile(0.05)),
        sample_distance=float(of_samples.median().sqrt()),
        held_out_distance=float(of_held_out.median().sqrt()),
        extractor=name_of(extractor),
        n=len(samples),
    )


def nearest(points: Tensor, rows: Tensor) -> Tensor:
    """The squared distance of each point `(n, d)` from its nearest row `(m, d)`, `(n,)`.

    >>> nearest(torch.tensor([[1.0], [5.0]]), torch.tensor([[0.0], [2.0]]))
    tensor([1., 9.])
    """
    return _nearest_few(points, rows, 1)[:, 0]


def _kth_nearest(rows: Tensor, k: int) -> Tensor:
    """The squared distance of each row from its k-th nearest other one, with leave for rounding."""
    return _nearest_few(rows, rows, k + 1)[:, -1] + ROUNDING * rows.square().sum(1).mean()


def _nearest_few(points: Tensor, rows: Tensor, few: int) -> Tensor:
    """The squared distances of each point from its few nearest rows, `(n, few)`, the nearest first.

    Which rows are near is found in float32, how near they are from differences in the points' own precision; where
    float32 cannot tell the few from the rest, from all rows in that precision.
    """
    coarse, error, found = rows.float(), _coarse_error(rows), list[Tensor]()
    for some, distances in zip(_chunks(points, rows), _distances(points.float(), coarse), strict=True):
        candidates = distances.topk(min(few + SPARE, len(rows)), dim=1, largest=False)
        close = torch.stack([_apart(points[some], rows[row]) for row in candidates.indices.unbind(1)], 1)
        nearest_of_all = _smallest(close, few)
        unsure = nearest_of_all[:, -1] > candidates.values[:, -1] - error
        nearest_of_all[unsure] = _smallest(squared_distances(points[some][unsure], rows), few)
        found.append(nearest_of_all)
    return torch.cat(found)


def _smallest(distances: Tensor, few: int) -> Tensor:
    return distances.topk(few, dim=1, largest=False).values


def _coarse_error(rows: Tensor) -> Tensor:
    return COARSE * rows.square().sum(1).mean()


def _apart(points: Tensor, rows: Tensor) -> Tensor:
    """The squared distance of each point from the row beside it, `(n,)`, without the rounding of a product."""
    difference = points - rows
    squares: Tensor = torch.linalg.vecdot(difference, difference)
    return squares


def _distances(points: Tensor, rows: Tensor) -> Iterator[Tensor]:
    """The squared distances of some points at a time from all rows, `(some, m)`."""
    return (squared_distances(points[some], rows) for some in _chunks(points, rows))


def _chunks(points: Tensor, rows: Tensor) -> Iterator[slice]:
    return row_slices(points, max(1, PAIRS_AT_ONCE // len(rows)))


def _centred(*sides: Tensor) -> list[Tensor]:
    """Points moved so that all together lie around 0, where products lose the least precision."""
    centre = torch.cat(sides).mean(0)
    return [side - centre for side in sides]


def _share(marked: Tensor) -> float:
    return float(marked.double().mean())
