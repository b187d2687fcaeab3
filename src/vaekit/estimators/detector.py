"""A face for anomalies: how odd rows are, and which are too odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, final

import numpy as np
import torch
from sklearn.base import OutlierMixin

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch
from vaekit.core.meeting import ROW
from vaekit.data import Dataset
from vaekit.defaults import Defaults
from vaekit.estimators.estimator import VAEEstimator, seed_of
from vaekit.estimators.fitted import fit_rows, precise
from vaekit.model import FittedVAE
from vaekit.tabular import defaults_of
from vaekit.uses.scores import SCORES, Average, Ensemble, NegativeElbo
from vaekit.uses.scores.aggregate import aggregated

if TYPE_CHECKING:
    from vaekit.estimators.pyod import PyODFace


NETS: Final[Mapping[str, Any]] = MappingProxyType({"activation": "silu"})
FOLDS: Final = 4
"""Parts of few rows, of which each is in turn what is new."""
FEWEST: Final = 20
"""Of fewer rows no part can be spared to set a threshold by."""
ENOUGH: Final = 2000
"""So many rows are not learnt by heart."""


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
    the aggregate that scores it. Where there are few, the threshold is lowered by what models of three quarters of them
    score these above the rest, which brings the share of new rows in order that are called odd nearer to that.

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

    _laws: ClassVar[str] = "plain"

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows; y is not read. So many of them are odd from here on as `contamination` says."""
        if not 0 < self.contamination <= 0.5:
            raise UsageError(f"contamination is {self.contamination}: it is a share above 0, and at most 0.5")
        x = self._train(X, "vae" if self.novelty else "trimmed_vae", **NETS).double()
        self.ensemble_ = self._ensemble(self.members_, Batch(x))
        self.training_scores_ = -self._oddness(known(x))
        self.offset_ = self._level(self.training_scores_) - (self._optimism(x) if self.novelty else 0.0)
        return self

    def _level(self, scores: np.ndarray) -> float:
        """What a share `contamination` of the scores lies below."""
        return float(np.percentile(scores, 100 * self.contamination))

    def _optimism(self, x: torch.Tensor) -> float:
        """By how much the level of rows that were learned from lies above that of new ones: nothing, of many rows."""
        if not FEWEST <= len(x) < ENOUGH:
            return 0.0
        generator = torch.Generator().manual_seed(seed_of(self.random_state))
        folds = torch.randperm(len(x), generator=generator).chunk(FOLDS)
        own, others = map(np.concatenate, zip(*(self._by_the_others(x, new) for new in folds), strict=True))
        fewer = 1 - 1 / FOLDS  # of fewer rows more is learnt by heart, about as one over their number
        return max(0.0, fewer * (self._level(own) - self._level(others)))

    def _by_the_others(self, x: torch.Tensor, new: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """The scores that a model of the other rows gives to its own, and to these."""
        learned = x[~torch.isin(torch.arange(len(x)), new)]
        rows, wishes = self._rows(learned.float()), self._wishes()
        # In as many batches as all rows are, all of them alike: a last one of few rows would teach otherwise.
        batch = round((1 - 1 / FOLDS) * wishes.training.get("batch_size", self.defaults_.batch_size))
        wishes = replace(wishes, training={**wishes.training, "batch_size": max(1, batch)})
        of_others = self._ensemble(fit_rows(rows, "vae", wishes, self.defaults_, 1, NETS), Batch(learned))
        return -self._oddness(known(learned), of_others), -self._oddness(Batch(x[new]), of_others)

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

    def _ensemble(self, members: Sequence[FittedVAE], rows: Batch) -> Ensemble:
        """What scores: the members in float64, asked for one score, which has learnt from the rows."""
        return self._asked([precise(member) for member in members], rows).learnt(rows, encode=torch.Tensor.double)

    def _asked(self, models: list[VAE], rows: Batch) -> Ensemble:
        if self.novelty and self.by is None:
            return Ensemble.of([*models, *(aggregated(model, rows) for model in models)], NegativeElbo())
        # Where outliers were trained on, a mixture would be as sure of one as its most deceived member.
        return Ensemble.of(models, SCORES[self.by or "log_evidence"], None if self.novelty else Average())

    def _oddness(self, batch: Batch, ensemble: Ensemble | None = None) -> np.ndarray:
        odd: np.ndarray = (ensemble or self.ensemble_)(batch, self.samples, encode=torch.Tensor.double).numpy()
        return odd

    def _defaults(self, rows: Dataset) -> Defaults:
        return defaults_of(rows, partial(Defaults.of_detection, novelty=self.novelty))


def known(x: torch.Tensor) -> Batch:
    """Rows that were learned from, with their numbers."""
    return Batch(x, {ROW: torch.arange(len(x))})
