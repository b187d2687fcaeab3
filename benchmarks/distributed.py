"""One process against several: the same loss, and how the speed scales. The classic job on MNIST's 60,000 rows.

    python benchmarks/distributed.py --nproc 2 --device cpu --epochs 3

Every run is started anew, one after the other, each process with as many threads as one of the several has. `ae` has no
noise: its loss in several processes is to be that of one, but for the order of sums. `vae` draws noise of its own in
each process, so that its losses differ as two seeds do. The record goes to benchmarks/results/distributed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import records

import vaekit
from vaekit.data import load_data
from vaekit.train import Epoch, Watcher
from vaekit.train.ranks.world import joining

JOBS = [("ae", "ddp"), ("ae", "fsdp"), ("vae", "ddp"), ("vae", "fsdp")]


class Clock(Watcher):
    """Keeps every epoch."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []

    def epoch(self, epoch: Epoch, model: vaekit.VAE) -> None:
        self.epochs.append(epoch)


def work(asked: argparse.Namespace) -> None:
    """One rank of one run; the first writes what came of it."""
    clock = Clock()
    with joining() as world:
        rows = load_data("mnist").train.head(asked.rows)
        model, objective = vaekit.build(asked.recipe, rows.event_shape, latent=20, hidden=(400,))
        settings = {"max_epochs": asked.epochs, "batch_size": asked.batch, "strategy": asked.strategy}
        vaekit.fit(
            model,
            objective,
            rows,
            device=asked.device,
            patience=asked.epochs,
            observers=[clock],
            verbose=False,
            **settings,
        )
        if world.leads:
            asked.worker.write_text(json.dumps([epoch.as_record() for epoch in clock.epochs]))


def run(asked: argparse.Namespace, recipe: str, strategy: str, nproc: int) -> dict[str, Any]:
    """A run in so many processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(nproc)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "epochs.json"
        words = [__file__, "--worker", str(out), "--recipe", recipe, "--strategy", strategy]
        for name in ("device", "epochs", "batch", "rows"):
            words += [f"--{name}", str(getattr(asked, name))]
        environment = {**os.environ, "OMP_NUM_THREADS": str(asked.threads)}
        subprocess.run([sys.executable, *launcher, *words], check=True, env=environment)
        epochs = json.loads(out.read_text())
    seconds = statistics.median(epoch["seconds"] for epoch in epochs[1:] or epochs)
    held_out = epochs[-1]["held_out"]
    print(f"{recipe}, {strategy}, {nproc} processes: {seconds:.2f} s an epoch, {held_out}", file=sys.stderr)
    return {
        "recipe": recipe,
        "strategy": strategy if nproc > 1 else "one process",
        "nproc": nproc,
        "seconds": seconds,
        "examples_per_second": epochs[-1]["examples"] / seconds,
        "train": epochs[-1]["train"]["value"],
        "held_out": held_out["log_likelihood"] if held_out["elbo"] is None else held_out["elbo"],
    }


def compare(asked: argparse.Namespace) -> dict[str, Any]:
    """All runs, each beside the one process of its recipe."""
    runs = []
    for recipe in dict.fromkeys(recipe for recipe, _ in JOBS):
        alone = run(asked, recipe, "ddp", 1)
        several = [run(asked, name, strategy, asked.nproc) for name, strategy in JOBS if name == recipe]
        for each in (alone, *several):
            each["difference"] = each["held_out"] - alone["held_out"]
            each["scaling"] = alone["seconds"] / each["seconds"]
            runs.append(each)
    kept = {name: getattr(asked, name) for name in ("nproc", "threads", "device", "epochs", "batch", "rows")}
    return {**kept, "cores": os.cpu_count(), "load": os.getloadavg()[0], "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nproc", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--recipe", help=argparse.SUPPRESS)
    parser.add_argument("--strategy", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked)
    else:
        records.write("distributed", compare(asked))


def told(record: Mapping[str, Any]) -> str:
    """The record as a section of RESULTS.md."""
    kind = f"{record['device']}, {record['threads']} thread to a process, {record['cores']} cores"
    return records.section(
        f"Several processes: {kind}, torch {record['torch']}, {record['date']}",
        f"python benchmarks/distributed.py --nproc {record['nproc']} --epochs {record['epochs']}",
        ("recipe", "way", "processes", "seconds an epoch", "as fast as one", "held-out, nats", "difference from one"),
        (
            (
                run["recipe"],
                run["strategy"],
                run["nproc"],
                f"{run['seconds']:.2f}",
                f"{run['scaling']:.2f}x",
                f"{run['held_out']:.3f}",
                f"{run['difference']:+.4f}",
            )
            for run in record["runs"]
        ),
        f"{record['rows']:,} rows of MNIST, a global batch of {record['batch']}. An `ae` draws nothing, so that "
        "its losses may be compared to the digit; a `vae` draws other noise on each rank.",
    )


if __name__ == "__main__":
    main()
