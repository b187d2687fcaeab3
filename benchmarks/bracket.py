"""log p(x) of a trained model from both sides: importance sampling and annealing below, reverse annealing above.

    python benchmarks/likelihood.py --rows "vae static"
    python benchmarks/bracket.py runs/likelihood/vae_static

On rows that the model makes, whose latents are known, annealing brackets the truth: forward it is a lower bound in
expectation, in reverse an upper one (Grosse, Ghahramani and Adams, 2015). Importance sampling with as many samples as
published figures use has to lie below the upper one, and the gap tells how much such figures are off. On test rows the
two lower bounds stand side by side. The record goes to benchmarks/results/bracket.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import records

from vaekit import FittedVAE
from vaekit.common.seeds import seeded
from vaekit.data import load_data
from vaekit.evaluate import Annealing, Evidence, FromPosterior, annealed, bracket, log_evidence
from vaekit.train import describe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--chains", type=int, default=16)
    parser.add_argument("--temperatures", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    fitted = FittedVAE.load(asked.model, device=asked.device)
    how = Annealing(chains=asked.chains, temperatures=asked.temperatures, start=FromPosterior)
    started = time.perf_counter()
    with seeded(asked.seed, fitted.device):
        made = bracket(fitted.model, asked.rows, how)
        importance = log_evidence(fitted.model, made.x, asked.samples)
        test = load_data(asked.data).test
        assert test is not None
        x = fitted.batch(test.head(asked.rows)).x
        test_annealed = annealed(fitted.model, x, how)
        test_importance = log_evidence(fitted.model, x, asked.samples)
    record = {
        "made by the model": {
            "importance sampling, below": _mean(importance),
            "annealing, below": _mean(made.lower.evidence),
            "reverse annealing, above": _mean(made.upper.evidence),
            "gap of annealing": [made.gap.value, made.gap.stderr],
            "gap of importance sampling": made.upper.evidence.mean - importance.mean,
        },
        "test rows": {
            "importance sampling, below": _mean(test_importance),
            "annealing, below": _mean(test_annealed.evidence),
        },
        **{name: value for name, value in vars(asked).items() if name not in ("model", "device")},
        "model": asked.model.name,
        "acceptance": float(made.lower.acceptance.mean()),
        "seconds": time.perf_counter() - started,
        "device": describe(fitted.device),
    }
    print(json.dumps(record, indent=2))
    records.write("bracket", record)


def _mean(evidence: Evidence) -> list[Any]:
    """The mean over rows, with the standard error of the estimate for these rows."""
    return [evidence.mean, evidence.mean_stderr]


def told(record: Mapping[str, Any]) -> str:
    """The record as a section of RESULTS.md."""
    made, gap = record["made by the model"], record["made by the model"]["gap of annealing"]
    rows = [
        (f"{name}, rows the model made", f"{value[0]:.2f} ± {value[1]:.2f}")
        for name, value in made.items()
        if "gap" not in name
    ]
    rows += [(f"{name}, test rows", f"{value[0]:.2f} ± {value[1]:.2f}") for name, value in record["test rows"].items()]
    rows += [
        ("gap between the annealed bounds", f"{gap[0]:.2f} ± {gap[1]:.2f}"),
        ("gap from importance sampling to the upper bound", f"{made['gap of importance sampling']:.2f}"),
    ]
    return records.section(
        f"log p(x) from both sides: {record['model']}, {record['device']}, torch {record['torch']}, {record['date']}",
        f"python benchmarks/bracket.py runs/likelihood/{record['model']} --rows {record['rows']} "
        f"--chains {record['chains']} --temperatures {record['temperatures']} --samples {record['samples']}",
        ("estimate", "nats per example"),
        rows,
    )


if __name__ == "__main__":
    main()
