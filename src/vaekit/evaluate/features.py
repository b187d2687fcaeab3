"""What samples are compared by: extractors of features, and the score a comparison comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vaekit.common.chunks import by_rows
from vaekit.common.errors import DataError, UsageError
from vaekit.common.seeds import seeded
from vaekit.data import Dataset, hold_out, scaled
from vaekit.evaluate.classifier import accuracy, fit_classifier
from vaekit.evaluate.estimate import Estimate
from vaekit.evaluate.significance import exact
from vaekit.nets import Convolutional, Dense, NetBuilder

Extractor = Callable[[Tensor], Tensor]
"""From rows `(n, *event)`, on the scale that the model explains, to features `(n, d)`."""


@dataclass(frozen=True)
class Score:
    """A number that a comparison of samples with data came to, with all that it depends on.

    It compares only with scores of the same measure, extractor, n and rows.

    >>> print(Score("fd", "pixels", 1000, 5000, Estimate(12.5, 0.5)))
    fd[pixels] = 12.5 +- 0.5, from 1000 samples and 5000 rows
    """

    measure: str
    extractor: str
    n: int
    """How many samples."""
    rows: int
    """How many rows of data."""
    estimate: Estimate

    @property
    def name(self) -> str:
        """The measure with its extractor."""
        return f"{self.measure}[{self.extractor}]"

    @property
    def value(self) -> float:
        """The number."""
        return self.estimate.value

    def __str__(self) -> str:
        return f"{self.name} = {self.estimate}, from {self.n} samples and {self.rows} rows"


def name_of(extractor: Extractor) -> str:
    """The extractor's own `name`, or that of its function or class.

    >>> name_of(pixels), name_of(torch.sin)
    ('pixels', 'sin')
    """
    own = getattr(extractor, "name", None) or getattr(extractor, "__name__", None)
    return str(own or type(extractor).__name__)


def features(extractor: Extractor, x: Tensor) -> Tensor:
    """The features of rows `(n, *event)`, `(n, d)` in float64, extracted in chunks.

    Raises `UsageError` where the extractor returns anything but a finite vector for each row.
    """
    found = exact(by_rows(extractor, x))
    if found.dim() != 2 or len(found) != len(x):
        raise UsageError(f"{name_of(extractor)} made {tuple(found.shape)} of {tuple(x.shape)}: it must make (n, d)")
    if not found.isfinite().all():
        raise UsageError(f"{name_of(extractor)} made features that are not finite: mend the extractor or the rows")
    return found


def both_features(extractor: Extractor, samples: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """The features of samples and of data, on one device; a `UsageError` where their events differ in shape."""
    if samples.shape[1:] != data.shape[1:]:
        raise UsageError(
            f"samples of shape {tuple(samples.shape)} but data of {tuple(data.shape)}: give both one event"
        )
    of_samples, of_data = features(extractor, samples), features(extractor, data)
    return of_samples.to(of_data.device), of_data


def pixels(x: Tensor) -> Tensor:
    """The values themselves, as a vector.

    >>> pixels(torch.zeros(5, 1, 2, 2)).shape
    torch.Size([5, 4])
    """
    return x.flatten(1)


class PrincipalComponents:
    """The first `k` principal components of data `(n, *event)`, not scaled: distances are those of the data, as far
    as k directions can tell them.

    >>> components = PrincipalComponents(torch.randn(100, 5), 2)
    >>> components(torch.randn(7, 5)).shape, components.name
    (torch.Size([7, 2]), 'pca2')
    """

    def __init__(self, data: Tensor, k: int) -> None:
        values = exact(data.flatten(1))
        if not 1 <= k <= min(values.shape):
            raise UsageError(f"{k} components of {len(values)} rows of {values.shape[1]} values: choose fewer, from 1")
        self.name = f"pca{k}"
        self.mean = values.mean(0)
        _, vectors = torch.linalg.eigh((values - self.mean).T @ (values - self.mean))
        self.basis = vectors[:, -k:].flip(1)

    def __call__(self, x: Tensor) -> Tensor:
        """The components of rows `(n, *event)`, `(n, k)`."""
        components: Tensor = (exact(x.flatten(1)).to(self.mean.device) - self.mean) @ self.basis
        return components


class LabelFeatures(nn.Module):
    """What a classifier of the data's own labels sees before it decides: the features of `label_features`."""

    name = "labels"

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.accuracy = 0.0
        """Share of held-out rows that it classifies rightly: features of a poor classifier tell little."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x.to(next(self.parameters()).device))
        return found

    def logits(self, x: Tensor) -> Tensor:
        """Of the classes, `(n, classes)`."""
        logits: Tensor = self.head(self(x))
        return logits


def label_features(
    dataset: Dataset, seed: int = 0, width: int = 64, epochs: int = 5, rows: int = 10_000
) -> LabelFeatures:
    """An extractor trained to tell the data's own labels: convolutional for images, dense for vectors.

    Two of them agree only where data, seed and settings do; a tenth of the rows is held out for its `accuracy`.

    Args:
        dataset: with labels; bytes are scaled to [0, 1], as a model explains them.
        seed: of the weights and the batches.
        width: number of features.
        epochs: passes over the rows.
        rows: the most to train on, drawn at random.

    Raises `DataError` for data without labels, or with one class alone.
    """
    if dataset.y is None:
        raise DataError(f"{dataset.name or 'the data'} has no labels to learn features from: take another extractor")
    if len(dataset.y.unique()) < 2:
        raise DataError(f"all rows of {dataset.name or 'the data'} have one label: there is nothing to tell apart")
    with seeded(seed, dataset.x.device):
        dataset = replace(dataset, y=dataset.y.unique(return_inverse=True)[1])
        dataset = dataset.take(torch.randperm(len(dataset), device=dataset.x.device)[:rows])
        train, test = hold_out(dataset, 0.1, seed)
        assert test is not None
        return _trained(train, test, width, epochs)


def _trained(train: Dataset, test: Dataset, width: int, epochs: int) -> LabelFeatures:
    (x, y), (held_x, held_y) = (_labelled(part) for part in (train, test))
    classes = int(max(y.max(), held_y.max())) + 1
    body = nn.Sequential(_builder(x).down([x.shape[1:]], (width,)), nn.ReLU())
    extractor = LabelFeatures(body, nn.Linear(width, classes)).to(x.device)
    fit_classifier(nn.Sequential(body, extractor.head), x, y, epochs)
    extractor.accuracy = accuracy(nn.Sequential(body, extractor.head), held_x, held_y)
    return extractor.requires_grad_(False).eval()


def _labelled(dataset: Dataset) -> tuple[Tensor, Tensor]:
    assert dataset.y is not None
    return scaled(dataset.x), dataset.y


def _builder(x: Tensor) -> NetBuilder:
    """Convolutional where the rows are images that can be halved twice."""
    return Convolutional((16, 32)) if x.dim() == 4 and min(x.shape[2:]) >= 4 else Dense((256,))
