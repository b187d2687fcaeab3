"""The kernel distance of samples from data."""

from __future__ import annotations

from torch import Tensor

from vaekit.evaluate.features import Extractor, Score, both_features, name_of, pixels
from vaekit.evaluate.kernels import blocked_mmd, cubic


def kernel_distance(samples: Tensor, data: Tensor, extractor: Extractor = pixels, block: int = 500) -> Score:
    r"""The squared MMD of the features under the kernel :math:`(a \cdot b / d + 1)^3`; 0 is best.

    It is unbiased at any number of samples, so that near its best it may be negative; the standard error is over
    blocks of at most `block` rows. Named `kd[extractor]`: over Inception's features it would be KID.

    Args:
        samples: `(n, *event)`.
        data: `(rows, *event)`.
        extractor: of features.
        block: rows of each that are compared at once.

    Source: Binkowski, Sutherland, Arbel and Gretton, 2018.

    >>> import torch
    >>> score = kernel_distance(torch.randn(200, 3) + 2, torch.randn(200, 3))
    >>> score.name, score.value > 5 * score.estimate.stderr
    ('kd[pixels]', True)
    """
    of_samples, of_data = both_features(extractor, samples, data)
    estimate = blocked_mmd(of_samples, of_data, cubic, block)
    return Score("kd", name_of(extractor), len(samples), len(data), estimate)
