"""The model card: what a model directory says of itself to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaekit.about import About
from vaekit.core import VAE
from vaekit.recipes import RECIPES, Blueprint


def model_card(model: VAE, about: About, metrics: Mapping[str, Any]) -> str:
    """The card in Markdown: what was trained, on what, how well it does, and how to load it."""
    lines = [
        f"# {_name(model)} of {about.data}",
        "",
        "A variational autoencoder trained with vaekit.",
        "",
        f"- explains: rows of shape {about.event_shape}, {about.encoding.words}",
        f"- its numbers are: {about.density}",
        f"- weights: {sum(weight.numel() for weight in model.parameters()):,}",
        *_training(about.training),
        *_quality(metrics.get("test", {}), about.density.is_likelihood),
        "",
        "```python",
        "import vaekit",
        "",
        'fitted = vaekit.load_model("this directory")',
        "fitted.sample(16, mean=True)",
        "```",
        "",
    ]
    return "\n".join(lines)


def _name(model: VAE) -> str:
    blueprint = model.blueprint
    if not isinstance(blueprint, Blueprint):
        return "VAE"
    entry = RECIPES[blueprint.recipe]
    return f"{entry.name} ({entry.paper}, {entry.year})"


def _training(training: Mapping[str, Any]) -> list[str]:
    if not training:
        return []
    return [
        f"- trained: {training['epochs']} epochs of {training['examples']:,} examples, seed {training['seed']}, "
        f"{training['seconds']:.0f} s on {training['device']}"
    ]


def _quality(test: Mapping[str, Any], is_likelihood: bool) -> list[str]:
    if not test:
        return []
    found = (bound_words(test), evidence_words(test, is_likelihood), f"{test['active_units']} active units")
    return [f"- on {test['rows']:,} test rows: {', '.join(filter(None, found))}"]


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
