"""An evaluation in words, from its record: what the numbers are called, and what to be wary of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def bound_words(found: Mapping[str, Any]) -> str:
    """The ELBO and its terms, in nats per example; of a model without one what it has in its place."""
    log_likelihood = f"log-likelihood {found['log_likelihood']:.2f}"
    if found["elbo"] is None:
        return f"{log_likelihood} of the reconstruction (codes are points: no KL, no ELBO, no log p(x))"
    return f"ELBO {found['elbo']:.2f} ({log_likelihood}, KL {found['kl']:.2f})"


def evidence_words(found: Mapping[str, Any], is_likelihood: bool) -> str:
    """An importance-sampled estimate of log p(x), called what it is, with its error; empty where there is none.

    Where the values are 8-bit ones, in bits per dimension too.
    """
    if found["log_evidence"] is None:
        return ""
    bits = found.get("bits_per_dimension")
    return f"{_estimate(found, is_likelihood)}{'' if bits is None else f', at most {bits:.3f} bits per dimension'}"


def _estimate(found: Mapping[str, Any], is_likelihood: bool) -> str:
    name = "log p(x) at least" if is_likelihood else "importance-weighted score"
    error = "" if found["stderr"] is None else f" ± {found['stderr']:.2f}"
    return f"{name} {found['log_evidence']:.2f}{error} ({found['samples']} importance samples)"
