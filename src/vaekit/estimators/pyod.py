"""A face for anomalies as PyOD has it: higher is odder, and odd rows are 1. PyOD itself is not needed."""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np

from vaekit.estimators.detector import VAEDetector


@final
class PyODFace:
    """A detector by PyOD's conventions: `decision_scores_` and `decision_function` are higher for odder rows.

    Args:
        detector: the detector behind it, fitted or not.

    Source of the conventions: Zhao, Nasrullah and Li, 2019.

    >>> rows = np.random.default_rng(0).normal(size=(60, 3))
    >>> face = PyODFace(VAEDetector(contamination=0.1, max_epochs=2, random_state=0)).fit(rows)
    >>> int(face.labels_.sum()), bool((face.decision_scores_ > face.threshold_).sum() == 6)
    (6, True)
    """

    def __init__(self, detector: VAEDetector | None = None) -> None:
        self.detector = VAEDetector() if detector is None else detector

    @property
    def contamination(self) -> float:
        """The share of the training rows that is odd."""
        return self.detector.contamination

    @property
    def decision_scores_(self) -> np.ndarray:
        """How odd the training rows are, `(n,)`."""
        return -self.detector.training_scores_

    @property
    def threshold_(self) -> float:
        """What odd rows lie above."""
        return float(-self.detector.offset_)

    @property
    def labels_(self) -> np.ndarray:
        """1 for the training rows that are odd, else 0."""
        return self._labels(self.decision_scores_)

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows; y is not read."""
        self.detector.fit(X)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """How odd each row is, `(n,)`: -log p(x) in nats, or the score that was chosen."""
        return -self.detector.score_samples(X)

    def predict(self, X: Any) -> np.ndarray:
        """1 for odd rows, else 0, `(n,)`."""
        return self._labels(self.decision_function(X))

    def _labels(self, oddness: np.ndarray) -> np.ndarray:
        return (oddness > self.threshold_).astype(int)
