"""The learning rate of benchmarks that train for long."""

from __future__ import annotations

from vaekit.objectives import Cosine, Linear, Schedule


def falling(top: float, updates: int) -> Schedule:
    """A short warm-up, then half a cosine down to a hundredth, over the run's own length."""
    warm = max(1, updates // 50)
    return Linear(top / 10, top, warm).then(Cosine(top, top / 100, max(1, updates - warm)))
