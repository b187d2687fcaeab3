"""From rows to fitted models: the one place where estimators train."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaekit.core import VAE
from vaekit.data import Dataset
from vaekit.defaults import Defaults
from vaekit.model import FittedVAE
from vaekit.tabular import fit_table


@dataclass(frozen=True)
class Wishes:
    """What a caller has set, of the model and of its training; the rest is chosen by the size of the table."""

    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    verbose: bool = False
    laws: str = "fitted"
    """By what columns are explained."""
    scale: str = "learned"
    """Where the scales of numbers come from."""

    @staticmethod
    def of(model: Mapping[str, Any], training: Mapping[str, Any], **others: Any) -> Wishes:
        """What is not None.

        >>> Wishes.of({"latent": 3, "hidden": None}, {}, seed=0).model
        {'latent': 3}
        """
        return Wishes(_set(model), _set(training), **others)


def _set(wishes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: wish for name, wish in wishes.items() if wish is not None}


def fit_rows(
    rows: Dataset, recipe: str, wishes: Wishes, defaults: Defaults, members: int, options: Mapping[str, Any]
) -> tuple[FittedVAE, ...]:
    """Models of a recipe, of as many seeds as there are members."""
    shared: dict[str, Any] = {
        "recipe": recipe,
        "model": {**wishes.model, **options},
        "laws": wishes.laws,
        "scale": wishes.scale,
        "defaults": defaults,
        "verbose": wishes.verbose,
    }
    seeds = range(wishes.seed, wishes.seed + members)
    return tuple(fit_table(rows, seed=seed, **shared, **wishes.training) for seed in seeds)


def precise(fitted: FittedVAE) -> VAE:
    """A copy of the model in float64, on the CPU: its answers to a row hardly depend on the rows beside it."""
    return copy.deepcopy(fitted.model).cpu().double()
