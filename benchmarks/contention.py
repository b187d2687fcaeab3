"""Epochs of the classic job alone, and beside a process that keeps every core busy: how much slower each gets.

    python benchmarks/contention.py
    python benchmarks/contention.py --images 12800 --rounds 1    # a short look

Each candidate is a process of its own, as it comes: `vaekit` calls the public `fit`, with nothing set in the
environment; `tutorial` is the loop as tutorials write it; `long waits` is `fit` with threads that spin as long as
OpenMP has them by default, where vaekit, imported before torch, has them sleep sooner. The neighbour multiplies
matrices on all cores. What shares the cores fairly is about twice as slow beside it. The record goes to
benchmarks/results/contention.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import records

from vaekit.train import describe, device_named

WAITS = {"GOMP_SPINCOUNT": "300000"}
CANDIDATES: dict[str, tuple[str, dict[str, str]]] = {
    "vaekit": ("vaekit", {}),
    "vaekit, long waits": ("vaekit", WAITS),
    "tutorial": ("tutorial", {}),
}
"""Whose epochs they are, and what is set in the environment."""
PLAIN = {name: value for name, value in os.environ.items() if name not in WAITS}
HEAD = """
import json, sys
sys.path.insert(0, {folder!r})
"""
PROBES = {
    "vaekit": """
import vaekit
from vaekit.train import Watcher
images = vaekit.load_data("mnist").train.x[:{images}]
class Clock(Watcher):
    seconds = []
    def epoch(self, epoch, model):
        self.seconds.append(epoch.seconds)
model, objective = vaekit.build("vae", images.shape[1:])
vaekit.fit(model, objective, images, max_epochs=2, validation=0.0, device="cpu", verbose=False, observers=[Clock()])
print(json.dumps(Clock.seconds[-1]))
""",
    "tutorial": """
import torch
from classic_job import BATCH, Pictures, by_hand
from torch.utils.data import DataLoader
from vaekit.data import load_data
images = load_data("mnist").train.x[:{images}].squeeze(1)
test = images[:1000].reshape(-1, 784) / 255
seconds, _ = by_hand(DataLoader(Pictures(images), BATCH, shuffle=True), test, torch.device("cpu"), 2)
print(json.dumps(seconds[-1]))
""",
}
BUSY = """
import torch
matrix = torch.randn(1024, 1024)
print("busy", flush=True)
while True:
    matrix @ matrix
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    alone: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    beside: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for _ in range(asked.rounds):
        for name in CANDIDATES:
            alone[name].append(epoch(name, asked.images))
            with neighbour():
                beside[name].append(epoch(name, asked.images))
            print(f"{name}: {alone[name][-1]:.2f} s alone, {beside[name][-1]:.2f} s beside another", flush=True)
    record = {
        "images": asked.images,
        "rounds": asked.rounds,
        "device": describe(device_named("cpu")),
        "alone": {name: statistics.median(seconds) for name, seconds in alone.items()},
        "beside": {name: statistics.median(seconds) for name, seconds in beside.items()},
    }
    records.write("contention", record)


def epoch(name: str, images: int) -> float:
    """Seconds of the second epoch of a candidate, in a process of its own."""
    probe, added = CANDIDATES[name]
    script = (HEAD + PROBES[probe]).format(folder=str(Path(__file__).parent), images=images)
    environment = {**PLAIN, **added}
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return float(json.loads(answer.stdout.splitlines()[-1]))


@contextmanager
def neighbour() -> Iterator[None]:
    """A process beside this one that multiplies matrices on all cores."""
    busy = subprocess.Popen([sys.executable, "-c", BUSY], env=PLAIN, stdout=subprocess.PIPE, text=True)
    try:
        assert busy.stdout is not None
        busy.stdout.readline()
        yield
    finally:
        busy.kill()
        busy.wait()


def told(record: Mapping[str, Any]) -> str:
    """The record as a section of RESULTS.md."""
    rows = (
        (name, f"{alone:.2f}", f"{record['beside'][name]:.2f}", f"{record['beside'][name] / alone:.1f}")
        for name, alone in record["alone"].items()
    )
    return records.section(
        f"A second process on the same cores: {record['device']}, torch {record['torch']}, {record['date']}",
        f"python benchmarks/contention.py --images {record['images']} --rounds {record['rounds']}",
        ("classic job", "s / epoch alone", "beside a process on all cores", "times slower"),
        rows,
    )


if __name__ == "__main__":
    main()
