"""How well a model explains data it was not trained on, in one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vaekit.common.chunks import by_rows
from vaekit.core import VAE, Batch, centre
from vaekit.evaluate.activity import Activity, activity
from vaekit.evaluate.evidence import Evidence, log_evidence
from vaekit.objectives import Elbo
from vaekit.train import Means, Resident, mean_terms
from vaekit.train.labels import labels_wanted
from vaekit.train.means import evaluating


@dataclass(frozen=True)
class Evaluation:
    """A model on held-out data, in nats per example, each term a mean over rows.

    `evidence` holds the importance-sampled log p(x) of every row; `activity` the use of each latent's coordinates.
    """

    terms: Means
    evidence: Evidence
    activity: Mapping[str, Activity]
    rows: int

    @property
    def active_units(self) -> int:
        """Active coordinates over all latents."""
        return sum(activity.units for activity in self.activity.values())

    def as_record(self) -> dict[str, Any]:
        """For `metrics.json`; `stderr` is the Monte Carlo error of `log_evidence`, `rows_stderr` that of the rows.

        What one draw or one row cannot tell is None.
        """
        record = {
            "elbo": self.terms.elbo,
            "log_likelihood": self.terms.log_likelihood,
            "kl": self.terms.total_kl,
            "kl_of": dict(self.terms.kl),
            "log_evidence": self.evidence.mean,
            "samples": self.evidence.samples,
            "stderr": self.evidence.mean_stderr,
            "rows_stderr": self.evidence.rows_stderr,
            "median_ess": float(self.evidence.ess.median()),
            "active_units": self.active_units,
            "active_units_of": {name: use.units for name, use in self.activity.items()},
            "rows": self.rows,
        }
        return {name: None if value != value else value for name, value in record.items()}


def evaluate(model: VAE, data: Resident, samples: int = 100) -> Evaluation:
    """Evaluate a model on a data set, with draws from torch's current generator; labels are known to who reads them."""
    data = data.labelled(labels_wanted(model, Elbo()))
    whole = data.whole()
    with evaluating(model):
        return Evaluation(
            mean_terms(model, Elbo(), data),
            log_evidence(model, whole.x, samples, whole.given),
            {name: activity(posterior_means(model, whole, name)) for name, _ in model.latents()},
            len(whole),
        )


def posterior_means(model: VAE, batch: Batch, latent: str) -> Tensor:
    """The posterior mean of a latent for each row, `(batch, *event)`; of those it reads, the mean too."""
    return by_rows(lambda rows: model.posterior(rows.x, given=rows.given, take=centre)[latent].value[0], batch)
