"""The page's opening: what was trained and how good it is, in a few sentences and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from vaekit.caveats import Caveat, caveats
from vaekit.core import Density
from vaekit.recipes import RECIPES, Blueprint
from vaekit.recipes.registry import Entry
from vaekit.report.subject import Subject
from vaekit.report.words import count, duration, error, number, sentence
from vaekit.train import Means


@dataclass(frozen=True)
class KeyFigure:
    """A number to take away: its name, its value, what follows it in small type, and what it means."""

    name: str
    value: str
    aside: str
    meaning: str


@dataclass(frozen=True)
class Opening:
    """What stands above the sections."""

    title: str
    trained: str
    quality: str
    cautions: tuple[Caveat, ...]
    """What went wrong, and why the numbers are no likelihood where they are none."""
    figures: tuple[KeyFigure, ...]


def opening(subject: Subject) -> Opening:
    """The opening of a report."""
    about = replace(subject.fitted.about, schema=subject.schema)  # the subject's model is one of numbers
    return Opening(
        f"{_name(subject)} on {about.data}",
        _trained(subject),
        _quality(subject),
        (*caveats(about, subject.evaluation), *_no_likelihood(about.density)),
        tuple(shown for figure in KEY_FIGURES if (shown := figure(subject)) is not None),
    )


def _recipe(subject: Subject) -> Entry | None:
    blueprint = subject.fitted.model.blueprint
    return RECIPES[blueprint.recipe] if isinstance(blueprint, Blueprint) else None


def _name(subject: Subject) -> str:
    recipe = _recipe(subject)
    return recipe.name if recipe else "VAE"


def _trained(subject: Subject) -> str:
    recipe = _recipe(subject)
    what = f"{sentence(recipe.summary)} ({recipe.paper}, {recipe.year})" if recipe else "A variational autoencoder"
    return f"{what}, trained on {_data(subject)}{_effort(subject)}."


def _data(subject: Subject) -> str:
    about, picture = subject.fitted.about, subject.picture
    size = picture.size(about.event_shape)
    if "examples" not in about.training:
        return f"{about.data}, {picture.thing}s of {size}"
    return f"{count(int(about.training['examples']), picture.thing)} of {about.data}, {size}"


def _effort(subject: Subject) -> str:
    training = subject.fitted.about.training
    return f", for {count(int(training['epochs']), 'epoch')}" if "epochs" in training else ""


def _quality(subject: Subject) -> str:
    evaluation = subject.evaluation
    return (
        f"On {count(evaluation.rows, subject.example)} {_score(evaluation.terms)}, "
        f"which uses {evaluation.active_units} of its {_coordinates(subject)} coordinates.{_training_score(subject)}"
    )


def _score(terms: Means) -> str:
    if terms.elbo is None:
        return (
            f"the log-likelihood of its reconstruction is {number(terms.log_likelihood)} nats per example. There is no "
            "ELBO, no KL and no log p(x), for its code is a point"
        )
    return (
        f"its ELBO is {number(terms.elbo)} nats per example: {number(terms.log_likelihood)} for the reconstruction, "
        f"less {number(terms.total_kl)} for the code"
    )


def _coordinates(subject: Subject) -> int:
    return sum(len(activity.variance) for activity in subject.evaluation.activity.values())


def _training_score(subject: Subject) -> str:
    """The training score of the epoch whose weights were kept: far above the test score, it tells of overfitting."""
    about = subject.fitted.about
    kept = about.training.get("best_epoch", len(about.history))
    scores = [epoch.train.score for epoch in about.history if epoch.number == kept]
    return f" Its training set scored {number(scores[0])}." if scores else ""


def _no_likelihood(density: Density) -> Iterator[Caveat]:
    if density.is_likelihood:
        return
    yield Caveat(
        "these numbers are not a likelihood",
        f"they are the {density.kind} of {density.of}. A likelihood adds up to 1 over everything that could have been "
        "seen, and this does not, so log p(x) has no meaning here. Compare these numbers only with those of models "
        "that score the same values in the same way",
    )


def elbo(subject: Subject) -> KeyFigure:
    """The evidence lower bound, or where there is none the log-likelihood of the reconstruction."""
    terms = subject.evaluation.terms
    if terms.elbo is None:
        return KeyFigure(
            "Log-likelihood", number(terms.log_likelihood), "nats", "Of the reconstruction. Higher is better."
        )
    parts = f"{number(terms.log_likelihood)} reconstruction, less {number(terms.total_kl)} KL"
    return KeyFigure("ELBO", number(terms.elbo), "nats", f"{parts}. Higher is better.")


def evidence(subject: Subject) -> KeyFigure | None:
    """The importance-sampled evidence, by a name that it deserves."""
    evidence = subject.evaluation.evidence
    if evidence is None:
        return None
    draws = f"K = {count(evidence.samples, 'draw')} per {subject.picture.thing}"
    effective = f"{number(float(evidence.ess.median()), 1)} effective in the median"
    name, meaning = _evidence_in_words(subject.fitted.about.density)
    value, aside = number(evidence.mean), f"{error(evidence.mean_stderr)} nats".strip()
    return KeyFigure(name, value, aside, f"{meaning} {draws}, {effective}.")


def _evidence_in_words(density: Density) -> tuple[str, str]:
    if density.is_likelihood:
        return "log p(x)", "Importance-sampled, on average a little too low."
    return "Importance-weighted score", "Not a likelihood, so not log p(x)."


def bits(subject: Subject) -> KeyFigure | None:
    """What one 8-bit value takes."""
    bits = subject.evaluation.bits_per_dimension
    if bits is None:
        return None
    return KeyFigure("Bits per dimension", number(bits, 3), "at most", "To store one 8-bit value. Lower is better.")


def divergence(subject: Subject) -> KeyFigure | None:
    """The KL of all latents."""
    if subject.evaluation.terms.elbo is None:
        return None
    kl = subject.evaluation.terms.total_kl
    return KeyFigure("KL", number(kl), "nats", "What the code of one example costs. Near 0, it says nothing.")


def active_units(subject: Subject) -> KeyFigure:
    """How many coordinates are in use."""
    meaning = "Latent coordinates whose mean varies from example to example."
    return KeyFigure("Active units", str(subject.evaluation.active_units), f"of {_coordinates(subject)}", meaning)


def weights(subject: Subject) -> KeyFigure:
    """The size of the model."""
    return KeyFigure("Weights", f"{subject.fitted.model.weights:,}", "", "Numbers that training found.")


def time(subject: Subject) -> KeyFigure:
    """How long training took."""
    training = subject.fitted.about.training
    if "seconds" not in training:
        return KeyFigure("Training time", "unknown", "", "It was not kept with the model.")
    value, unit = duration(training["seconds"]).split()
    speed = f"{training['examples_per_second']:,.0f} examples a second" if "examples_per_second" in training else ""
    where = f"on {training['device']}" if "device" in training else ""
    return KeyFigure("Training time", value, unit, f"{sentence(', '.join(filter(None, (speed, where))))}.")


KEY_FIGURES: tuple[Callable[[Subject], KeyFigure | None], ...] = (
    *(elbo, evidence, bits, divergence),
    *(active_units, weights, time),
)
"""The cards, in order; what a model does not have is left out."""
