"""Clustering against known classes: how well clusters that nobody named match them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor

from vaekit.common.errors import DataError


@dataclass(frozen=True)
class Matching:
    """How well clusters match classes; each number is 1 where they are the same but for their names."""

    accuracy: float
    """The share of rows whose cluster is matched to their class, one to one, in the best such way."""
    nmi: float
    """Normalised mutual information, by the arithmetic mean of the entropies."""
    ari: float
    """Adjusted Rand index: the share of pairs agreed upon, 0 for chance."""
    classes: Tensor
    """The class that each cluster is matched to, `(clusters,)`, or -1."""


def matching(clusters: Tensor, truth: Tensor) -> Matching:
    r"""Compare clusters `(n,)` with classes `(n,)`, both numbered from 0.

    .. math:: \max_\pi \frac{1}{n} \sum_i 1[\pi(c_i) = y_i]

    over the one-to-one maps of clusters to classes, found by the Hungarian method. Clusters that there are more of than
    classes are matched to none, and their rows count as wrong.

    Raises `DataError` where there are no rows, or not as many of each.

    Sources: Kuhn, 1955; Hubert and Arabie, 1985 (ARI); Strehl and Ghosh, 2002 (NMI).

    >>> found = matching(torch.tensor([2, 2, 0, 0, 1]), torch.tensor([0, 0, 1, 1, 1]))
    >>> found.accuracy, found.classes.tolist()
    (0.8, [1, -1, 0])
    """
    if not len(clusters) or len(clusters) != len(truth):
        raise DataError(f"{len(clusters)} clusters beside {len(truth)} classes: give one of each to every row")
    metrics = import_module("sklearn.metrics")
    counts = contingency(clusters, truth)
    rows, columns = import_module("scipy.optimize").linear_sum_assignment(-counts.numpy())
    classes = torch.full((len(counts),), -1)
    classes[rows] = torch.as_tensor(columns)
    own, known = clusters.cpu().numpy(), truth.cpu().numpy()
    return Matching(
        float(counts[rows, columns].sum()) / len(clusters),
        float(metrics.normalized_mutual_info_score(known, own)),
        float(metrics.adjusted_rand_score(known, own)),
        classes,
    )


def contingency(clusters: Tensor, truth: Tensor) -> Tensor:
    """How many rows of each class each cluster holds, `(clusters, classes)`.

    >>> contingency(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])).tolist()
    [[1, 0], [1, 1]]
    """
    shape = int(clusters.max()) + 1, int(truth.max()) + 1
    flat = clusters.cpu().long() * shape[1] + truth.cpu().long()
    return torch.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
