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
class NotMiwae:
    """An importance-weighted VAE whose likelihood is also one of which cells are missing, or is not."""

    at_random: bool
    samples: int = 20

    def complete(self, x: np.ndarray, seed: int) -> Completed:
        import torch

        import vaekit
        from vaekit.core import VAE, Batch
        from vaekit.families.not_at_random import NotAtRandom, SelfMasking
        from vaekit.recipes.forms import ArrayForm
        from vaekit.uses.complete import complete

        rows = torch.from_numpy(x).float()
        form = ArrayForm((x.shape[1],), holes=True)
        model, objective = vaekit.build("iwae", form, seed=seed, likelihood="normal", samples=self.samples,
                                        hidden=(128, 128), latent=min(10, x.shape[1]))  # fmt: skip
        if not self.at_random:
            likelihood = NotAtRandom(model.likelihood, SelfMasking(form.event_shape))
            model = VAE(likelihood, **dict(model.latents()))
        fitted = vaekit.fit(model, objective, rows, max_epochs=max(1, 200_000 // len(x)), batch_size=64, patience=1000,
                            seed=seed, verbose=False)  # fmt: skip
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
        "MIWAE": NotMiwae(at_random=True),
        "not-MIWAE": NotMiwae(at_random=False),
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
            f"MIWAE and not-MIWAE are the same nets, trained alike, {len(SEEDS)} seeds; not-MIWAE also learns a",
            "logistic curve for each column: how likely a value is to be missing.",
            *failures(found),
        )
