"""Test log-likelihoods on MNIST and Fashion-MNIST beside published figures.

    python benchmarks/likelihood.py                     # every row, as published: hours on a GPU
    python benchmarks/likelihood.py --rows vae iwae     # some rows
    python benchmarks/likelihood.py --epochs 20 --test 1000 --samples 500   # what a CPU can do in minutes

Each row trains a recipe through the public `fit`, with early stopping on rows held out of the training set, and
evaluates log p(x) by importance sampling on the test set. A run that was cut short says so in its row. Results are
written to benchmarks/results/likelihood.json, and as a table into benchmarks/RESULTS.md by benchmarks/results.py.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import vaekit
from vaekit.data import load_data
from vaekit.train import describe

RESULTS = Path(__file__).parent / "results" / "likelihood.json"
WIDE = {"net": "mlp", "hidden": (200, 200), "activation": "tanh", "latent": 50}
GATED = {"net": "gated", "hidden": (300, 300), "latent": 40}
FASHION = "/usr/share/datasets/fashion-mnist"


@dataclass(frozen=True)
class Row:
    """A model, how it is trained, and the figure that somebody published for it."""

    name: str
    recipe: str
    published: float
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    data: str = "mnist"
    binarize: str = "static"
    epochs: int = 2000
    learning_rate: float = 5e-4
    batch_size: int = 100
    patience: int = 50
    samples: int = 5000


PYTHAE = "Chadebec, Vincent and Allassonnière, 2022"
ROWS = (
    Row("vae static", "vae", 89.78, PYTHAE, GATED),
    Row("vampprior static", "vamp_vae", 85.79, PYTHAE, GATED),
    Row("iwae-50 static", "iwae", 86.82, PYTHAE, {**GATED, "samples": 50}),
    Row("svae static", "hyperspherical_vae", 93.13, PYTHAE, GATED),
    Row("miwae static", "miwae", 85.09, PYTHAE, GATED),
    Row("piwae static", "piwae", 84.58, PYTHAE, GATED),
    Row("ciwae static", "ciwae", 84.74, PYTHAE, GATED),
    Row("hvae static", "hvae", 83.19, "Tomczak and Welling, 2018 (with a VampPrior)", GATED),
    Row("vae K=1 dynamic", "vae", 86.76, "Burda et al., 2016", WIDE, binarize="dynamic"),
    Row("iwae K=50 dynamic", "iwae", 84.78, "Burda et al., 2016", {**WIDE, "samples": 50}, binarize="dynamic"),
    Row("dreg K=50 dynamic", "dreg", 84.32, "Tucker et al., 2019", {**WIDE, "samples": 50}, binarize="dynamic"),
    Row("vampprior dynamic", "vamp_vae", 82.43, "Tomczak and Welling, 2018", GATED, binarize="dynamic"),
    Row("exemplar dynamic", "exemplar_vae", 82.09, "Norouzi et al., 2020", GATED, binarize="dynamic"),
    Row("vampprior fashion", "vamp_vae", 227.35, "Norouzi et al., 2020", GATED, FASHION, "dynamic"),
    Row("exemplar fashion", "exemplar_vae", 226.75, "Norouzi et al., 2020", GATED, FASHION, "dynamic"),
    Row("conv_ladder dynamic", "conv_ladder", 78.01, "Vahdat and Kautz, 2020 (NVAE)", {}, "mnist", "dynamic", 120,
        1e-2, 256, 120, 1000),
)  # fmt: skip


def run(row: Row, epochs: int, test: int, samples: int, seed: int, device: str) -> dict[str, Any]:
    """Train and evaluate one row."""
    data = load_data(row.data)
    assert data.test is not None
    model, objective = vaekit.build(row.recipe, data.train.event_shape, seed=seed, **row.options)
    started = time.perf_counter()
    fitted = vaekit.fit(
        model,
        objective,
        data,
        max_epochs=epochs,
        learning_rate=row.learning_rate,
        batch_size=row.batch_size,
        patience=row.patience,
        binarize=row.binarize,
        seed=seed,
        device=device,
    )
    seconds = time.perf_counter() - started
    evaluation = fitted.evaluate(data.test.head(test), samples, seed=seed)
    return {
        **asdict(row),
        "options": dict(row.options),
        "nll": -evaluation.evidence.mean,
        "stderr": evaluation.evidence.mean_stderr,
        "rows_stderr": evaluation.evidence.rows_stderr,
        "elbo": evaluation.terms.elbo,
        "active_units": evaluation.active_units,
        "epochs_run": len(fitted.history),
        "epochs_asked": epochs,
        "test_rows": evaluation.rows,
        "samples_used": samples,
        "cut_short": epochs < row.epochs or samples < row.samples or evaluation.rows < len(data.test),
        "seconds": seconds,
        "device": describe(fitted.device),
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        "versions": fitted.about.training["versions"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", help="names, or recipes; all of them by default")
    parser.add_argument("--epochs", type=int, help="cut every run short")
    parser.add_argument("--test", type=int, default=10_000, help="test rows")
    parser.add_argument("--samples", type=int, help="importance samples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for row in ROWS:
        if asked.rows and not {row.name, row.recipe} & set(asked.rows):
            continue
        epochs, samples = min(asked.epochs or row.epochs, row.epochs), min(asked.samples or row.samples, row.samples)
        found[row.name] = run(row, epochs, asked.test, samples, asked.seed, asked.device)
        print(f"{row.name}: NLL {found[row.name]['nll']:.2f}, published {row.published:.2f}", flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
