"""The model card: what a model directory says of itself to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaekit.about import About
from vaekit.core import VAE
from vaekit.evaluate.words import bound_words, evidence_words
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
        f"- weights: {model.weights:,}",
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
