"""A face for anomalies: how odd rows are, and which are too odd."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import torch
from sklearn.base import OutlierMixin

from vaekit.common.errors import UsageError
from vaekit.core import Batch
from vaekit.core.meeting import ROW
from vaekit.data import Dataset
from vaekit.defaults import Defaults
from vaekit.estimators.estimator import VAEEstimator
from vaekit.estimators.fitted import precise
from vaekit.tabular import defaults_of
from vaekit.uses.scores import SCORES, Average, Ensemble, NegativeElbo
from vaekit.uses.scores.aggregate import aggregated

if TYPE_CHECKING:
    from vaekit.estimators.pyod import PyODFace


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAEDetector(OutlierMixin, VAEEstimator):  # type: ignore[misc]
    """Tells odd rows from normal ones by how surprising they are, in nats.

    As in scikit-learn, lower scores are odder and odd rows are -1; see `pyod` for the opposite. Of several members
    the score is that of all together.

    Where odd rows may be among those it is trained on, of each batch the fifth that is explained worst is not learned
    from, and rows are scored by the importance-weighted -log p(x). With `novelty` all rows are learned from, and rows
    are scored by the negative ELBO, the mean of two: by the prior, and by the aggregate posterior of the training rows
    in its place, to which a code that is none of theirs is odd however near 0 it lies. A training row is left out of
    the aggregate that scores it.

    Sources: An and Cho, 2015, with the evidence in the place of the reconstruction; Hoffman and Johnson, 2016.

    >>> rows = np.random.default_rng(0).normal(size=(60, 3))
    >>> found = VAEDetector(contamination=0.1, max_epochs=2, random_state=0).fit_predict(rows)
    >>> int((found == -1).sum())
    6
    """

    contamination: float = 0.1
    """The share of the training rows that is odd, in (0, 0.5]."""
    by: str | None = None
    """How oddness is measured: a name in `vaekit.uses.scores.SCORES`, or what suits whether there is `novelty`."""
    members: int | None = None
    """Models of as many seeds."""
    novelty: bool = False
    """Whether all training rows are known to be in order, and only new ones may be odd."""
    samples: int = 20
    """Draws of the latents for each row."""

    _plain: ClassVar[bool] = True

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows; y is not read. So many of them are odd from here on as `contamination` says."""
        if not 0 < self.contamination <= 0.5:
            raise UsageError(f"contamination is {self.contamination}: it is a share above 0, and at most 0.5")
        x = self._train(X, "vae" if self.novelty else "trimmed_vae", activation="silu").double()
        self.ensemble_ = self._ensemble(Batch(x)).learnt(Batch(x), encode=torch.Tensor.double)
        self.training_scores_ = -self._oddness(Batch(x, {ROW: torch.arange(len(x))}))
        self.offset_ = np.percentile(self.training_scores_, 100 * self.contamination)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """How normal each row is, `(n,)`: log p(x) in nats, or a bound of it, or the negative of the chosen score."""
        return -self._oddness(self._batch(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """The score less the threshold `offset_`: rows below 0 are odd."""
        decided: np.ndarray = self.score_samples(X) - self.offset_
        return decided

    def predict(self, X: Any) -> np.ndarray:
        """1 for normal rows and -1 for odd ones, `(n,)`."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def pyod(self) -> PyODFace:
        """The same detector with the names and the sign that PyOD's have."""
        from vaekit.estimators.pyod import PyODFace

        return PyODFace(self)

    def _ensemble(self, known: Batch) -> Ensemble:
        """What scores: the members in float64, asked for one score."""
        models = [precise(member) for member in self.members_]
        if self.novelty and self.by is None:
            return Ensemble.of([*models, *(aggregated(model, known) for model in models)], NegativeElbo())
        # Where outliers were trained on, a mixture would be as sure of one as its most deceived member.
        return Ensemble.of(models, SCORES[self.by or "log_evidence"], None if self.novelty else Average())

    def _oddness(self, batch: Batch) -> np.ndarray:
        odd: np.ndarray = self.ensemble_(batch, self.samples, encode=torch.Tensor.double).numpy()
        return odd

    def _defaults(self, rows: Dataset) -> Defaults:
        return defaults_of(rows, partial(Defaults.of_detection, novelty=self.novelty))
