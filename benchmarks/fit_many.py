"""Many models at once: `fit_many` with 8 and 32 seeds beside `fit` with one.

    python benchmarks/fit_many.py                           # the classic model on all of MNIST
    python benchmarks/fit_many.py --device cuda --epochs 5
    python benchmarks/fit_many.py --seeds 8 --rows 6400 --epochs 3 --threads 1   # what a small machine does in a minute

The classic model, 784-400-20 at batch 128 with Adam 1e-3. Times are medians of the epochs after the first, in which
steps are recorded, except where there is but one. The mean test ELBO over the seeds stands beside that of the one
model, in nats. The record goes to benchmarks/results/fit_many.json.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

import records
import torch

import vaekit
from vaekit import FittedVAE
from vaekit.data import Dataset, load_data
from vaekit.many import mean_over
from vaekit.train import describe, device_named

TARGETS = {8: 1.6, 32: 4.0}
"""How often the time of one model so many may take on a GPU."""


def median(fitted: FittedVAE) -> float:
    """The median seconds of an epoch after the first."""
    seconds = [epoch.seconds for epoch in fitted.history]
    return statistics.median(seconds[1:] or seconds)


def test_elbo(rows: Dataset, fitted: FittedVAE) -> float:
    elbo = fitted.evaluate(rows, samples=1).terms.elbo
    assert elbo is not None
    return elbo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seeds", type=int, nargs="+", default=[8, 32], help="numbers of models")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rows", type=int, help="train on the first so many rows only")
    parser.add_argument("--threads", type=int, help="of the CPU")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    device = device_named(asked.device)
    data = load_data("mnist")
    assert data.test is not None
    train = data.train if asked.rows is None else data.train.head(asked.rows)
    make = partial(vaekit.build, "vae", train.event_shape, latent=20)
    settings: dict[str, Any] = {
        "max_epochs": asked.epochs,
        "batch_size": 128,
        "validation": 0.0,
        "device": str(device),
        "verbose": False,
    }
    score = partial(test_elbo, data.test)
    one = vaekit.fit(*make(seed=0), train, seed=0, **settings)
    found: dict[str, Any] = {"1": {"median": median(one), "ratio": 1.0, "elbo": score(one), "stderr": None}}
    print(f"1 model: {median(one):.3f} s an epoch, test ELBO {score(one):.2f}", flush=True)
    for n in asked.seeds:
        fitted = vaekit.fit_many(make, train, range(n), **settings)
        elbo, ratio = mean_over(fitted, score), median(fitted[0]) / median(one)
        found[str(n)] = {
            "median": median(fitted[0]),
            "ratio": ratio,
            "target_on_gpu": TARGETS.get(n),
            "way": fitted[0].about.training["together"],
            "elbo": elbo.value,
            "stderr": elbo.stderr,
        }
        print(f"{n} models: {median(fitted[0]):.3f} s an epoch, {ratio:.2f}x one, test ELBO {elbo}", flush=True)
    record = {
        "models": found,
        "epochs": asked.epochs,
        "rows": len(train),
        "device": describe(device),
    }
    records.write("fit_many", record)


def told(record: Mapping[str, Any]) -> str:
    """The record as a section of RESULTS.md."""
    return records.section(
        f"Many models at once: {record['device']}, torch {record['torch']}, {record['date']}",
        f"python benchmarks/fit_many.py --seeds {' '.join(n for n in record['models'] if n != '1')} "
        f"--epochs {record['epochs']} --rows {record['rows']}",
        ("models", "seconds an epoch, median", "against one", "at most, on a GPU", "test ELBO, nats"),
        (_row(n, found) for n, found in record["models"].items()),
    )


def _row(n: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    most = "" if found.get("target_on_gpu") is None else f"{found['target_on_gpu']}x"
    spread = "" if found["stderr"] is None else f" ± {found['stderr']:.2f}"
    return n, f"{found['median']:.3f}", f"{found['ratio']:.2f}x", most, f"{found['elbo']:.2f}{spread}"


if __name__ == "__main__":
    main()
