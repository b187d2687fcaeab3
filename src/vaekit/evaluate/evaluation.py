"""How well a model explains data it was not trained on, in one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vaekit.common.chunks import by_rows
from vaekit.core import VAE, Batch, Density, bits_per_dimension, centre, shared_latents
from vaekit.evaluate.activity import Activity, activity
from vaekit.evaluate.evidence import Evidence, log_evidence
from vaekit.evaluate.words import bound_words, evidence_words
from vaekit.objectives import Elbo
from vaekit.train import Means, Resident, mean_terms
from vaekit.train.means import evaluating
from vaekit.train.rows.labels import labels_wanted


@dataclass(frozen=True, repr=False)
class Evaluation:
    """A model on held-out data, in nats per example, each term a mean over rows.

    A model whose posterior is a point has no ELBO and no evidence that could be estimated: both are None, and what is
    told of it is the log-likelihood of the reconstruction. Of a model whose rows share a latent the evidence is None.
    """

    terms: Means
    evidence: Evidence | None
    """The importance-sampled log p(x) of every row."""
    row_scores: Tensor
    """How well each row is explained, `(rows,)`: its log-evidence, or the log-likelihood of its reconstruction."""
    activity: Mapping[str, Activity]
    """The use of each latent's coordinates."""
    rows: int
    bits_per_dimension: float | None = None
    """The bits that one 8-bit value takes at most, from the evidence; None where the values are no 8-bit ones."""
    is_likelihood: bool = True
    """Whether what the model explains is the data itself, so that the evidence is one of log p(x)."""

    def __repr__(self) -> str:
        record = self.as_record()
        found = (bound_words(record), evidence_words(record, self.is_likelihood), f"{self.active_units} active units")
        return f"Evaluation of {self.rows:,} rows, in nats per example: {'; '.join(filter(None, found))}"

    @property
    def active_units(self) -> int:
        """Active coordinates over all latents."""
        return sum(activity.units for activity in self.activity.values())

    def as_record(self) -> dict[str, Any]:
        """For `metrics.json`; `stderr` is the Monte Carlo error of `log_evidence`, `rows_stderr` that of the rows.

        What one draw or one row cannot tell is None, and so is what the model does not have.
        """
        bounded = self.terms.elbo is not None
        record = {
            "elbo": self.terms.elbo,
            "log_likelihood": self.terms.log_likelihood,
            "kl": self.terms.total_kl if bounded else None,
            "kl_of": dict(self.terms.kl),
            **_record_of(self.evidence),
            "bits_per_dimension": self.bits_per_dimension,
            "active_units": self.active_units,
            "active_units_of": {name: use.units for name, use in self.activity.items()},
            "rows": self.rows,
        }
        return {name: None if value != value else value for name, value in record.items()}


def _record_of(evidence: Evidence | None) -> dict[str, Any]:
    """What was estimated of log p(x), by the names of a record."""
    if evidence is None:
        return dict.fromkeys(("log_evidence", "samples", "stderr", "rows_stderr", "median_ess"))
    return {
        "log_evidence": evidence.mean,
        "samples": evidence.samples,
        "stderr": evidence.mean_stderr,
        "rows_stderr": evidence.rows_stderr,
        "median_ess": float(evidence.ess.median()),
    }


def evaluate(model: VAE, data: Resident, samples: int = 100, density: Density | None = None) -> Evaluation:
    """Evaluate a model on a data set, with draws from torch's current generator; labels are known to who reads them.

    Args:
        model: the model; it is not changed.
        data: rows as the model sees them.
        samples: importance samples for each row.
        density: what the model's numbers are a density of, for bits per dimension where these are meant.
    """
    data = data.labelled(labels_wanted(model, Elbo()))
    whole = data.whole()
    with evaluating(model):
        terms = mean_terms(model, Elbo(), data)
        estimated = terms.elbo is not None and not shared_latents(model)
        evidence = None if not estimated else log_evidence(model, whole.x, samples, whole.given)
        scores = _log_likelihoods(model, whole) if evidence is None else evidence.log_evidence
        uses = {name: activity(posterior_means(model, whole, name)) for name, _ in model.latents()}
    bits, is_likelihood = _bits(evidence, whole.x, density), density is None or density.is_likelihood
    return Evaluation(terms, evidence, scores, uses, len(whole), bits, is_likelihood)


def _log_likelihoods(model: VAE, batch: Batch) -> Tensor:
    """log p(x | z) of each row's reconstruction, `(batch,)`, float64 on the CPU."""
    return by_rows(lambda rows: model.trace(rows.x, given=rows.given).log_lik[0], batch).cpu().double()


def _bits(evidence: Evidence | None, x: Tensor, density: Density | None) -> float | None:
    if evidence is None or density is None or not density.is_likelihood or density.level_bits is None:
        return None
    return bits_per_dimension(evidence.mean, x.shape[1:], density)


def posterior_means(model: VAE, batch: Batch, latent: str) -> Tensor:
    """The posterior mean of a latent for each row, `(batch, *event)`; of those it reads, the mean too."""

    def means(rows: Batch) -> Tensor:
        mean = model.posterior(rows.x, given=rows.given, take=centre)[latent].value[0]
        return mean.expand(len(rows), *mean.shape[1:])

    return by_rows(means, batch)
