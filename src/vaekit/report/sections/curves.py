"""Learning curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vaekit.report.charts import ACCENT, INK, MUTED, chart
from vaekit.report.figures import Key, Message, Panel, Panels
from vaekit.report.section import Section
from vaekit.report.subject import Subject
from vaekit.report.words import number
from vaekit.train import Epoch, Means

WIDTH, HEIGHT = 320, 200
MARKED = 25
"""Epochs up to which each has a dot of its own on the held-out line."""


@dataclass(frozen=True)
class Measure:
    """A number to follow over the epochs; `of_test` tells whether it is known of the test set too."""

    title: str
    of: Callable[[Means], float]
    of_test: bool = True


def curves(subject: Subject) -> Section:
    """The section on how training went."""
    history = subject.fitted.history
    return Section(
        "curves",
        "Learning curves",
        *(_WORDS if subject.evaluation.terms.elbo is not None else _WORDS_OF_POINTS),
        _panels(subject, history) if history else Message("The model came without the history of its training."),
    )


_WORDS = (
    "How training went, epoch by epoch, in nats per example. The ELBO is the log-likelihood of the reconstruction "
    "less the KL, the price of the code. The first epochs may lie outside the frame.",
    "a held-out ELBO that falls while the training ELBO still climbs (overfitting), or a KL that stays near 0 (the "
    "code is not used).",
)
_WORDS_OF_POINTS = (
    "How training went, epoch by epoch, in nats per example. Codes are points, so there is no KL and no ELBO: what is "
    "followed is the log-likelihood of the reconstruction. The first epochs may lie outside the frame.",
    "a held-out log-likelihood that falls while that of training still climbs (overfitting).",
)


def _panels(subject: Subject, history: Sequence[Epoch]) -> Panels:
    terms, kind = subject.evaluation.terms, subject.kind
    panels = tuple(_panel(measure, history, terms, kind) for measure in measures(history))
    return Panels(panels, tuple(_keys(history, kind)))


def measures(history: Sequence[Epoch]) -> list[Measure]:
    """What to follow: the ELBO, its two terms, the KL of each latent, and what was optimised where it differs.

    Where posteriors are points there is no ELBO, and no KL of these.
    """
    latents = list(history[-1].train.kl)
    bound = [Measure("ELBO", lambda means: means.score)] if history[-1].train.elbo is not None else []
    of_each = [Measure(f"KL of {name}", partial(_kl_of, name)) for name in latents]
    total = [Measure("KL", lambda means: means.total_kl)] if len(latents) > 1 else []
    optimised = [Measure("What was optimised", lambda means: means.value, of_test=False)]
    return [
        *bound,
        Measure("Log-likelihood", lambda means: means.log_likelihood),
        *total,
        *of_each,
        *(optimised if _differs(history) else []),
    ]


def _kl_of(name: str, means: Means) -> float:
    return means.kl[name]


def _differs(history: Sequence[Epoch]) -> bool:
    """Whether anything but the plain ELBO was optimised, beyond rounding."""
    return not all(math.isclose(epoch.train.value, epoch.train.score, rel_tol=1e-4) for epoch in history)


def _keys(history: Sequence[Epoch], kind: str) -> list[Key]:
    held_out = [Key("held-out", "held out, after each epoch")] if history[0].held_out else []
    return [Key("train", "training, during each epoch"), *held_out, Key("test", f"{kind}, of the model that was kept")]


def _panel(measure: Measure, history: Sequence[Epoch], terms: Means, kind: str) -> Panel:
    test = measure.of(terms) if measure.of_test else None
    drawn = chart(partial(_draw, measure, history, test), WIDTH, HEIGHT, f"{measure.title} by epoch")
    return Panel(measure.title, "" if test is None else f"{kind} {number(test)}", drawn)


def _draw(measure: Measure, history: Sequence[Epoch], test: float | None, axes: Axes) -> None:
    train = [measure.of(epoch.train) for epoch in history]
    held_out = [measure.of(epoch.held_out) for epoch in history if epoch.held_out]
    numbers = [epoch.number for epoch in history]
    axes.plot(numbers, train, color=MUTED, linewidth=1.4, marker=_dot(1, numbers), markersize=5)
    if held_out:
        axes.plot(numbers, held_out, color=ACCENT, linewidth=1.8, marker=_dot(MARKED, numbers), markersize=4)
    if test is not None:
        axes.axhline(test, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_ylim(*limits([train, held_out], [] if test is None else [test]))
    axes.set_xlabel("epoch")
    axes.margins(x=0.03)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=6))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))


def _dot(most: int, numbers: Sequence[int]) -> str:
    return "o" if len(numbers) <= most else ""


def limits(lines: Sequence[Sequence[float]], marks: Sequence[float]) -> tuple[float, float]:
    """The range of y that shows where lines end up: all of them, unless their beginnings would squash the rest.

    The first tenth of each line, and at least its first point, is left out where it reaches further from the rest
    than the rest is high.

    >>> limits([[-500.0, -110.0, -106.0, -105.0]], [-105.0])[0] > -120
    True
    """
    everything = _finite([*(value for line in lines for value in line), *marks])
    settled = _finite([*(value for line in lines for value in line[_settled(line) :]), *marks])
    if not len(everything):
        return 0.0, 1.0
    shown = settled if len(settled) and np.ptp(everything) > 2 * np.ptp(settled) > 0 else everything
    room = 0.08 * float(np.ptp(shown)) or 0.5
    return float(shown.min()) - room, float(shown.max()) + room


def _settled(line: Sequence[float]) -> int:
    return max(1, len(line) // 10)


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    return np.array([value for value in values if math.isfinite(value)])
