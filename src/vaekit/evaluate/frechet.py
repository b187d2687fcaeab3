"""The Frechet distance of samples from data, and what it would be without the bias of few samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaekit.common.errors import UsageError
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.features import Extractor, Score, both_features, name_of, pixels

SIZES = 8


def frechet_distance(samples: Tensor, data: Tensor, extractor: Extractor = pixels) -> Score:
    r"""The squared Frechet (2-Wasserstein) distance of two normals with the features' means and covariances; 0 is best.

    .. math:: |\mu_1 - \mu_2|^2 + tr(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})

    It is named `fd[extractor]`; it is an FID only over the features of that Inception network. Few samples make it too
    large, by about a constant over their number: compare at equal n and rows, or by `frechet_limit`. Its error is not
    estimated, and given as NaN.

    Args:
        samples: `(n, *event)`.
        data: `(rows, *event)`.
        extractor: of features.

    Source: Dowson and Landau, 1982; Heusel et al., 2017; Chong and Forsyth, 2020 (the bias).

    >>> x = torch.randn(500, 3)
    >>> score = frechet_distance(x + 2, x)
    >>> score.name, round(score.value, 6)
    ('fd[pixels]', 12.0)
    """
    of_samples, of_data = both_features(extractor, samples, data)
    value = _frechet(of_samples, of_data)
    return Score("fd", name_of(extractor), len(samples), len(data), Estimate(value, math.nan))


def frechet_limit(samples: Tensor, data: Tensor, extractor: Extractor = pixels) -> Score:
    r"""The Frechet distance extrapolated to infinitely many samples and rows.

    The distance at n samples and n rows is close to :math:`FD_\infty + c / n`. A line through it at 8 sizes, drawn at
    random between a fifth of the rows and all, has FD_infinity as its intercept. The standard error is that of the
    line; the sizes share rows, so that it is too small.

    Source: Chong and Forsyth, 2020. Raises `UsageError` for fewer than 50 samples or rows.
    """
    n = min(len(samples), len(data))
    if n < 50:
        raise UsageError(f"{len(samples)} samples and {len(data)} rows: an extrapolation needs at least 50 of each")
    of_samples, of_data = both_features(extractor, samples, data)
    sizes = (1 / torch.linspace(5 / n, 1 / n, SIZES, dtype=torch.float64)).round().long()
    distances = [_frechet(_some(of_samples, int(size)), _some(of_data, int(size))) for size in sizes]
    estimate = _intercept(1 / sizes.double(), torch.tensor(distances, dtype=torch.float64))
    return Score("fd_infinity", name_of(extractor), n, n, estimate)


def _some(values: Tensor, n: int) -> Tensor:
    return values[torch.randperm(len(values), device=values.device)[:n]]


def _intercept(x: Tensor, y: Tensor) -> Estimate:
    """The intercept of the least-squares line, with its standard error."""
    design = torch.stack([torch.ones_like(x), x], 1)
    line = torch.linalg.lstsq(design, y).solution
    residual = (y - design @ line).square().sum() / (len(x) - 2)
    return Estimate(float(line[0]), float((residual * torch.linalg.inv(design.T @ design)[0, 0]).sqrt()))


def _frechet(a: Tensor, b: Tensor) -> float:
    if min(len(a), len(b)) < 2:
        raise UsageError(f"{len(a)} samples and {len(b)} rows: a covariance needs at least 2 of each")
    return frechet_of_moments(a.mean(0), _covariance(a), b.mean(0), _covariance(b))


def _covariance(values: Tensor) -> Tensor:
    covariance: Tensor = values.T.cov()
    return covariance.view(values.shape[1], values.shape[1])


def frechet_of_moments(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> float:
    """The squared Frechet distance of two normals, from means `(d,)` and covariances `(d, d)` in float64.

    The trace of the root of a product is found from symmetric matrices alone, which stay real where they are singular.

    >>> eye = torch.eye(2, dtype=torch.float64)
    >>> frechet_of_moments(torch.zeros(2), eye, torch.ones(2), 4 * eye)
    4.0
    """
    root = _symmetric_root(covariance_a)
    cross = torch.linalg.eigvalsh(root @ covariance_b @ root).clamp(min=0).sqrt().sum()
    shift = (mean_a - mean_b).square().sum()
    return float(shift + covariance_a.trace() + covariance_b.trace() - 2 * cross)


def _symmetric_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.T
    return root
