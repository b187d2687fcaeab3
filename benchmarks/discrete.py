"""The ELBO of VAEs with discrete latents on binarised MNIST, beside published figures.

    python benchmarks/discrete.py                     # every row, 200 epochs: hours on a CPU
    python benchmarks/discrete.py --rows gumbel       # some rows, by name or recipe
    python benchmarks/discrete.py --epochs 5 --test 1000   # cut short

Figures are -ELBO on the test set in nats, of draws that are discrete: those of a Gumbel-softmax are soft only while it
learns. Each row trains a recipe through the public `fit`, on all but the rows held out of the training set, which
choose the epoch whose weights are kept. The learning rate falls along half a cosine over the run, however long it is,
and the temperature over its first half, so a run that was cut short ends as cold as a whole one; its record says so.
The records go to benchmarks/results/discrete/, a file a row, and benchmarks/results.py makes the table of
benchmarks/RESULTS.md of them.

The nets are gated MLPs of two layers of 300, which need not be the source's; the binarisation is the record's.
log p(x) by importance sampling is recorded beside the ELBO, and is no match for the published column.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import records

import vaekit
from vaekit.data import load_data
from vaekit.objectives import falling
from vaekit.train import describe

JANG = "Jang, Gu and Poole, 2017"
HELD_OUT = 0.05
BATCH = 100
RATE = 3e-3


@dataclass(frozen=True)
class Row:
    """A model, how it is trained, and the figure that somebody published for it."""

    name: str
    recipe: str
    published: float
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 200

    def settings(self, updates: int) -> dict[str, Any]:
        """The recipe's settings for a run of so many updates; a temperature falls over the first half of it."""
        length = {"steps": max(1, updates // 2)} if "coldest" in self.options else {}
        return {**self.options, **length}


NETS = {"net": "gated", "hidden": (300, 300)}
TWENTY_BY_TEN = {"groups": 20, "levels": 10, "temperature": 1.0, "coldest": 0.5, **NETS}
PAIRS = {"groups": 200, "levels": 2, "temperature": 1.0, "coldest": 0.3, **NETS}
BITS = {"latent": 200, **NETS}
ROWS = (
    Row("gumbel 20x10", "gumbel_vae", 101.5, JANG, TWENTY_BY_TEN),
    Row("straight-through gumbel 20x10", "gumbel_vae", 107.8, JANG, {**TWENTY_BY_TEN, "hard": True}),
    Row("gumbel bernoulli-200", "gumbel_vae", 105.0, JANG, PAIRS),
    Row("rloo bernoulli-200", "bernoulli_vae", 112.2, f"{JANG}: score function", BITS),
    Row("disarm bernoulli-200", "disarm_vae", 109.7, f"{JANG}: MuProp", BITS),
)
"""Bits are classes of two; unbiased gradients of ours stand beside the unbiased ones of the source."""


def run(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate one row."""
    epochs, seed = min(asked.epochs or row.epochs, row.epochs), asked.seed
    data = load_data("mnist")
    assert data.test is not None
    updates = epochs * -(-round(len(data.train) * (1 - HELD_OUT)) // BATCH)
    settings = row.settings(updates)
    model, objective = vaekit.build(row.recipe, data.train.event_shape, seed=seed, **settings)
    started = time.perf_counter()
    fitted = vaekit.fit(
        model,
        objective,
        data,
        max_epochs=epochs,
        learning_rate=falling(RATE, updates),
        batch_size=BATCH,
        validation=HELD_OUT,
        patience=epochs,
        binarize=asked.binarize,
        ema=0.999,
        seed=seed,
        device=asked.device,
        precision=asked.precision,
    )
    seconds = time.perf_counter() - started
    evaluation = fitted.evaluate(data.test.head(asked.test), asked.samples, seed=seed)
    return {
        **asdict(row),
        "options": settings,
        "binarize": asked.binarize,
        "negative_elbo": -evaluation.terms.elbo,
        "kl": evaluation.terms.total_kl,
        "nll": -evaluation.evidence.mean,
        "best_epoch": fitted.about.training["best_epoch"],
        "epochs_run": len(fitted.history),
        "test_rows": evaluation.rows,
        "samples_used": asked.samples,
        "cut_short": epochs < row.epochs or evaluation.rows < len(data.test),
        "seconds": seconds,
        "device": describe(fitted.device),
        "precision": asked.precision,
        "seed": seed,
        "versions": fitted.about.training["versions"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", help="names, recipes, or the first word of a name; all of them by default")
    parser.add_argument("--epochs", type=int, help="cut every run short")
    parser.add_argument("--test", type=int, default=10_000, help="test rows")
    parser.add_argument("--samples", type=int, default=100, help="importance samples for log p(x)")
    parser.add_argument("--binarize", default="static", help="static or dynamic")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    asked = parser.parse_args()
    for row in ROWS:
        if asked.rows and not {row.name, row.recipe, row.name.split()[0]} & set(asked.rows):
            continue
        found = run(row, asked)
        print(f"{row.name}: -ELBO {found['negative_elbo']:.2f}, published {row.published:.2f}", flush=True)
        records.write(f"discrete/{row.name.replace(' ', '_')}", found)


def told(*rows: Mapping[str, Any]) -> str:
    """The records as a section of RESULTS.md."""
    return records.section(
        "Discrete latents: test -ELBO in nats",
        "python benchmarks/discrete.py --rows ROW --epochs EPOCHS --samples K --precision PRECISION",
        (
            "row",
            "recipe",
            "-ELBO",
            "published",
            "difference",
            "NLL, K",
            "MNIST",
            "rows",
            "epochs",
            "time",
            "on, seed, date",
        ),
        (_cells(row) for row in rows),
    )


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        row["name"],
        f"`{row['recipe']}`",
        f"{row['negative_elbo']:.2f}",
        f"{row['published']:.2f} ({row['source']})",
        f"{row['negative_elbo'] - row['published']:+.2f}",
        f"{row['nll']:.2f}, {row['samples_used']}",
        row["binarize"],
        f"{row['test_rows']:,}",
        f"{row['epochs_run']}" + (f" of {row['epochs']}: **cut short**" if row["cut_short"] else ""),
        f"{row['seconds'] / 60:.1f} min",
        f"{row['device']}, {row.get('precision', 'float32')}, {row['seed']}, {row['date']}",
    )


if __name__ == "__main__":
    main()
