"""Cores: shared fairly with whatever else runs on them."""

from __future__ import annotations

import os


def spare_the_cores() -> None:
    """Let a thread that waits for another spin for microseconds, not milliseconds, before it sleeps.

    Long spins starve a second process on the same cores; none at all cost half the speed of small steps. The OpenMP
    runtime reads this once, when torch is loaded: whoever loads torch before vaekit sets it in the environment. What is
    set there already stays.

    >>> spare_the_cores()
    >>> os.environ["GOMP_SPINCOUNT"].isdigit()
    True
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
