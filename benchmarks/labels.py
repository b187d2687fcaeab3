"""Few labels, and none: test error and clustering accuracy on MNIST, beside published figures.

    python benchmarks/labels.py                          # every row, 5 draws of labels or seeds each: hours on a CPU
    python benchmarks/labels.py --rows "100 labels" --draws 1     # some rows, some draws
    python benchmarks/labels.py --epochs 4               # cut short

Each row trains the recipe `smooth_gm_vae` through the public `fit` on the 60,000 training rows, of which as many as the
row says have their label, the same number of each class, drawn anew each time; the others' labels are -1, and of a row
without labels no label is seen. Images are moved a little (turned, slanted, stretched, shifted), which is to leave the
class as it is; the rows called "unmoved" do without. The error is that of the most probable q(y | x) on the 10,000
test rows; for clusters the accuracy after the best one-to-one matching (Hungarian), of the same test rows. No row is
held out and no epoch is chosen: the last one is measured. The records go to benchmarks/results/labels/, a file a row,
draw by draw, so that draws may be measured one at a time; benchmarks/results.py makes a table of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from statistics import mean, median, stdev
from typing import Any

import records
import torch
from torch import Tensor

import vaekit
from vaekit.core import Batch
from vaekit.data import Dataset, Splits, load_data
from vaekit.evaluate import matching
from vaekit.objectives import Cosine, Linear, Schedule
from vaekit.train import describe
from vaekit.uses.classify import classify

BATCH = 250
RATE = 2e-3
DRAWS = 5


@dataclass(frozen=True)
class Row:
    """How many labels are told, how long is trained, and the figure that somebody published."""

    name: str
    told: int
    published: float
    """The error, or where nothing is told the accuracy, in per cent."""
    source: str
    epochs: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The name of its record."""
        return self.name.replace(",", "").replace(" ", "_")


STACKED = "Kingma et al., 2014: M1+M2"
VADE = "Jiang et al., 2017: VaDE"
ERRORS = {100: 3.33, 1000: 2.40, 3000: 2.18}
"""Published, by how many labels are told."""
CLUSTERS: dict[str, Any] = {"radius": 0.35}
UNMOVED: dict[str, Any] = {"alike": 0.0}
"""Without the prior knowledge that a digit stays what it is when it is moved a little, which no published row had."""
ROWS = (
    *(Row(f"{told} labels", told, error, STACKED, 6) for told, error in ERRORS.items()),
    Row("no labels", 0, 94.46, VADE, 10, CLUSTERS),
    *(Row(f"{told} labels, unmoved", told, error, STACKED, 10, UNMOVED) for told, error in ERRORS.items()),
    Row("no labels, unmoved", 0, 94.46, VADE, 40, {**CLUSTERS, **UNMOVED}),
)


def labelled(y: Tensor, labels: int, seed: int) -> Tensor | None:
    """The labels with as many known of each class, and -1 for the others; None where none is known."""
    if not labels:
        return None
    generator = torch.Generator().manual_seed(seed)
    known = torch.full_like(y, -1)
    for value in y.unique():
        rows = (y == value).nonzero().squeeze(1)
        chosen = rows[torch.randperm(len(rows), generator=generator)[: labels // 10]]
        known[chosen] = value
    return known


def falling(updates: int) -> Schedule:
    """A learning rate that stays for the first half of a run, and falls along half a cosine in the second."""
    first = max(1, updates // 2)
    return Linear(RATE, RATE, first).then(Cosine(RATE, RATE / 100, max(1, updates - first)))


def run(row: Row, data: Splits, seed: int, device: str) -> dict[str, Any]:
    """One draw: train, and measure on the test set."""
    assert data.test is not None
    assert data.train.y is not None
    assert data.test.y is not None
    known = labelled(data.train.y.long(), row.told, seed)
    model, objective = vaekit.build("smooth_gm_vae", data.train.event_shape, seed=seed, **row.options)
    updates = row.epochs * -(-round(len(data.train) * (1.25 if row.told else 1.0)) // BATCH)
    started = time.perf_counter()
    fitted = vaekit.fit(
        model,
        objective,
        Dataset(data.train.x, known),
        max_epochs=row.epochs,
        batch_size=BATCH,
        learning_rate=falling(updates),
        validation=0.0,
        seed=seed,
        device=device,
        verbose=False,
    )
    seconds = time.perf_counter() - started
    probabilities = classify(fitted.model, Batch(fitted.batch(data.test.x).x)).cpu()
    found, truth = probabilities.argmax(1), data.test.y.long()
    clusters = matching(found, truth)
    return {
        "seed": seed,
        "error": 100 * float((found != truth).double().mean()),
        "accuracy": 100 * clusters.accuracy,
        "nmi": clusters.nmi,
        "ari": clusters.ari,
        "elbo": fitted.history[-1].train.elbo,
        "seconds": seconds,
        "device": describe(fitted.device),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", help="names; all of them by default")
    parser.add_argument("--draws", type=int, default=DRAWS, help="how many draws of labels, or seeds")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first draw")
    parser.add_argument("--epochs", type=int, help="cut every run short")
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    data = load_data("mnist")
    assert isinstance(data, Splits)
    for row in ROWS:
        if not asked.rows or row.name in asked.rows:
            measure(replace(row, epochs=min(asked.epochs or row.epochs, row.epochs)), data, asked)


def measure(row: Row, data: Splits, asked: argparse.Namespace) -> None:
    """Run the draws of a row that were asked for, each written beside those measured before as soon as it is there."""
    for seed in range(asked.first, asked.first + asked.draws):
        found = run(row, data, seed, asked.device)
        print(f"{row.name}, draw {seed}: error {found['error']:.2f} %, matched {found['accuracy']:.2f} %", flush=True)
        before = [draw for draw in drawn(row) if draw["seed"] != seed]
        draws = sorted([*before, found], key=lambda draw: int(draw["seed"]))
        full = next(whole.epochs for whole in ROWS if whole.name == row.name)
        record = {**asdict(row), "options": dict(row.options), "full_epochs": full, "draws": draws}
        records.write(f"labels/{row.file}", record)


def drawn(row: Row) -> list[dict[str, Any]]:
    """The draws of a row that were measured before, by as long a run."""
    same = [record for record in records.read(f"labels/{row.file}") if record["epochs"] == row.epochs]
    return [draw for record in same for draw in record["draws"]]


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    """A record as a row of the table."""
    measure = "error" if row["told"] else "accuracy"
    figures = [draw[measure] for draw in row["draws"]]
    worst = max(figures) if row["told"] else min(figures)
    spread = f" ± {stdev(figures):.2f}" if len(figures) > 1 else ""
    cut = ": **cut short**" if row["epochs"] < row["full_epochs"] else ""
    return (
        row["name"],
        measure,
        f"{mean(figures):.2f}{spread}",
        f"{median(figures):.2f}",
        f"{worst:.2f}",
        f"{row['published']:.2f} ({row['source']})",
        f"{len(figures)} of {DRAWS}" if len(figures) < DRAWS else len(figures),
        f"{row['epochs']} of {row['full_epochs']}{cut}" if cut else row["epochs"],
        f"{mean(draw['seconds'] for draw in row['draws']) / 60:.1f} min",
        f"{row['draws'][0]['device']}, {row['date']}",
    )


def told(*rows: Mapping[str, Any]) -> str:
    """The records as a section of RESULTS.md."""
    return records.section(
        "Few labels and none: MNIST, test error and clustering accuracy in per cent",
        'python benchmarks/labels.py --rows "ROW" --draws 5',
        ("row", "figure", "mean", "median", "worst", "published", "draws", "epochs", "time each", "on, date"),
        (_cells(row) for row in rows),
        "An image that is turned, slanted, stretched or shifted a little is to keep its class: prior knowledge that",
        "the published models did without, as do the rows called unmoved. That moves are needed to tell 4 from 9 was",
        "seen on labels of training rows, and the weights of the parts were chosen beside labels too.",
    )


if __name__ == "__main__":
    main()
