"""How long a fit takes to its first step, in a fresh process: the import, the call, and what is spent before training.

    python benchmarks/first_step.py
    python benchmarks/first_step.py --device cuda     # capturing stands apart

The data are in memory before the clock starts. The record goes to benchmarks/results/first_step.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import records

PROBE = """
import json, sys, time
started = time.perf_counter()
import torch
torch_loaded = time.perf_counter()
import vaekit
from vaekit.train import Watcher, describe, device_named
data = vaekit.load_data("mnist")
model, objective = vaekit.build("vae", data.train.event_shape)
class Clock(Watcher):
    steps = []
    def batch(self, examples):
        self.steps.append(time.perf_counter())
clock = Clock()
called = time.perf_counter()
vaekit.fit(model, objective, data, max_epochs=1, validation=0.0, device=sys.argv[1], verbose=False, observers=[clock])
print(json.dumps({"torch": torch_loaded - started, "vaekit and data": called - torch_loaded,
                  "fit to the first step": clock.steps[0] - called, "second step": clock.steps[1] - clock.steps[0],
                  "longest later step": max(b - a for a, b in zip(clock.steps[1:], clock.steps[2:])),
                  "device": describe(device_named(sys.argv[1])), "version": torch.__version__}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    found = [probe(asked.device) for _ in range(asked.times)]
    seconds = {name: statistics.median(run[name] for run in found) for name in found[0] if name not in WORDS}
    for name, taken in seconds.items():
        print(f"{name}: {taken:.3f} s")
    record = {
        "seconds": seconds,
        "times": asked.times,
        "device": found[0]["device"],
    }
    records.write("first_step", record)


WORDS = ("device", "version")


def probe(device: str) -> dict[str, float | str]:
    """One fresh process."""
    answer = subprocess.run([sys.executable, "-c", PROBE, device], capture_output=True, text=True, check=True)
    found: dict[str, float | str] = json.loads(answer.stdout.splitlines()[-1])
    return found


def told(record: Mapping[str, Any]) -> str:
    """The record as a section of RESULTS.md."""
    return records.section(
        f"From the call to the first step: {record['device']}, torch {record['torch']}, {record['date']}",
        f"python benchmarks/first_step.py --times {record['times']}",
        ("what", "seconds, median"),
        ((name, f"{taken:.3f}") for name, taken in record["seconds"].items()),
    )


if __name__ == "__main__":
    main()
