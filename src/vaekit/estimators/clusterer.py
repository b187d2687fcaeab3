"""A face for clusters: groups of rows that are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
from sklearn.base import ClusterMixin
from torch import Tensor

from vaekit.common.seeds import seeded
from vaekit.core import Batch
from vaekit.estimators.estimator import VAEEstimator, seed_of
from vaekit.estimators.fitted import precise
from vaekit.recipes import RECIPES
from vaekit.uses.cluster import MOST, clusterer


@final
@dataclass(kw_only=True, eq=False, repr=False)
class VAEClusterer(ClusterMixin, VAEEstimator):  # type: ignore[misc]
    """Finds clusters: by a variational mixture of normals on the codes of rows, or by a model that has clusters.

    Only clusters that training rows are in are counted, so there may be fewer than were asked for.

    Sources: Blei and Jordan, 2006 (the mixture); Shu, 2016, and Jiang et al., 2017 (such models).

    >>> rows = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[-9.0], [9.0]], 30, 0)
    >>> labels = VAEClusterer(n_clusters=2, max_epochs=20, random_state=0).fit_predict(rows)
    >>> len(set(labels[:30])), len(set(labels[30:]))
    (1, 1)
    """

    n_clusters: int | None = None
    """How many clusters at most; None looks for up to 30, and the mixture picks their number."""
    recipe: str = "vae"
    """What is fitted: "vae", or a recipe with clusters of its own, such as "gm_vae"."""

    _laws: ClassVar[str] = "plain"

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on rows, and find clusters among them; y is not read."""
        most = self.n_clusters or MOST
        options: dict[str, Any] = {"components": most} if "components" in RECIPES[self.recipe].options else {}
        x = self._train(X, self.recipe, **options)
        batch, seed = Batch(x.double()), seed_of(self.random_state)
        self.clusterer_ = clusterer(precise(self.model_), batch, most=most, seed=seed)
        self.clusters_, self.labels_ = np.unique(self._shares(batch).argmax(1).numpy(), return_inverse=True)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The cluster of each row, `(n,)`, among those that training rows are in."""
        batch = self._batch(X)
        found: np.ndarray = self._shares(batch)[:, self.clusters_].argmax(1).numpy()
        return found

    def _shares(self, batch: Batch) -> Tensor:
        with seeded(0):
            return self.clusterer_(batch).probabilities
