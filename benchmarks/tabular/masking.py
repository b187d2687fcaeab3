"""Completion where missing is not at random: of every other column the values above its mean are never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import records

from tabular.completion import METHODS, Completed, Completes, measured
from tabular.sets import NUMBERS, standardised
from tabular.task import Figures, Task, cell, failures, methods_of

SEEDS = range(3)


@dataclass(frozen=True)
class Weighted:
    """An importance-weighted VAE, or one whose likelihood is also one of which cells are missing."""

    recipe: str
    options: Mapping[str, Any]
    samples: int = 20

    def complete(self, x: np.ndarray, seed: int) -> Completed:
        import torch

        import vaekit
        from vaekit.core import Batch
        from vaekit.objectives import falling
        from vaekit.recipes.forms import ArrayForm
        from vaekit.uses.complete import complete

        rows, epochs = torch.from_numpy(x).float(), max(1, 200_000 // len(x))
        form = ArrayForm((x.shape[1],), holes=True)
        built = vaekit.build(self.recipe, form, seed=seed, likelihood="normal", samples=self.samples, net="mlp",
                             activation="tanh", hidden=(128, 128), latent=min(10, x.shape[1] - 1),
                             **self.options)  # fmt: skip
        fitted = vaekit.fit(*built, rows, max_epochs=epochs, batch_size=64, validation=0.0, seed=seed, verbose=False,
                            learning_rate=falling(1e-3, epochs * -(-len(x) // 64)))  # fmt: skip
        return Completed(complete(fitted.model, Batch(rows), 200).x.double().numpy())


def hidden(x: np.ndarray) -> np.ndarray:
    """Of every other column, what lies above its mean."""
    holes = x > 0
    holes[:, 1::2] = False
    return holes


class Masking(Task[Completes]):
    """The self-masking of Ipsen, Mattei and Frellsen, 2021."""

    name = "masking"
    sets = ("red", "white", "concrete", "breast")
    methods: Mapping[str, Completes] = {
        "mean": METHODS["mean"],
        "iterative ridge": METHODS["iterative ridge"],
        "MIWAE": Weighted("iwae", {}),
        "not-MIWAE": Weighted("not_miwae", {"missingness": "self_masking"}),
        "not-MIWAE, high ones missing": Weighted("not_miwae", {"missingness": "high_missing"}),
    }

    def measure(self, on: str, method: Completes) -> Figures:
        x = standardised(NUMBERS[on]())
        return measured(x, lambda seed: hidden(x), method, SEEDS)

    def told(self, found: Sequence[Mapping[str, Any]]) -> str:
        methods = methods_of(found)
        return records.section(
            "Tables, completed where missing is not at random: MSE on standardised columns",
            "python benchmarks/tables.py masking",
            ("set", *methods),
            ((record["set"], *(cell(record["methods"].get(method), "mse") for method in methods)) for record in found),
            "Of every other column all that lies above its mean is hidden, so that nobody has seen a high value.",
            "MIWAE and not-MIWAE are the same nets, two tanh layers of 128 as the paper's, trained alike,",
            f"{len(SEEDS)} seeds; not-MIWAE also learns a logistic curve for each column: how likely a value is to be",
            "missing. In the last column it is told that curves rise. With `net='shortcut'`, which goes on straight",
            "where nothing was seen, and flat curves it was behind on red wine (3.23 and 10.5; MIWAE 2.55).",
            *failures(found),
        )
