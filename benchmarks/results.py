"""Writes benchmarks/RESULTS.md from the records in benchmarks/results/."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HEAD = """# Results

Every figure below was written here by `python benchmarks/results.py` from a record in `benchmarks/results/`, which the
command above each table made. Losses to a published figure are printed as large as wins. A run that was cut short,
because the machine at hand could not do the whole, says so: its figure is no match for the published one.
"""


def likelihood(rows: Mapping[str, Any]) -> str:
    """The table of `likelihood.py`."""
    lines = [
        "## Likelihood: test NLL in nats, importance-sampled",
        "",
        "`python benchmarks/likelihood.py` (with `--epochs`, `--test`, `--samples` to cut runs short)",
        "",
        "| row | recipe | NLL | published | difference | K | test rows | epochs | time | device, seed, date |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows.values():
        cut = f" of {row['epochs']}: **cut short**" if row["cut_short"] else ""
        lines.append(
            f"| {row['name']} | `{row['recipe']}` | {row['nll']:.2f} ± {row['stderr']:.2f} | {row['published']:.2f} "
            f"({row['source']}) | {row['nll'] - row['published']:+.2f} | {row['samples_used']} | {row['test_rows']:,} "
            f"| {row['epochs_run']}{cut} | {row['seconds'] / 60:.1f} min "
            f"| {row['device']}, {row['seed']}, {row['date']} |"
        )
    return "\n".join(lines) + "\n"


def classic_job(record: Mapping[str, Any]) -> str:
    """The table of `classic_job.py`."""
    spin = "" if record["spin"] is None else f"GOMP_SPINCOUNT={record['spin']} "
    lines = [
        f"## The classic job's speed: {record['device']}, torch {record['torch']}, {record['date']}",
        "",
        f"`{spin}python benchmarks/classic_job.py --epochs {record['epochs']}`",
        "",
        "| | seconds an epoch, median | against the tutorial | test loss, nats |",
        "|---|---|---|---|",
    ]
    slowest = record["candidates"]["tutorial"]["median"]
    for name, found in record["candidates"].items():
        ratio = slowest / found["median"]
        lines.append(f"| {name} | {found['median']:.2f} | {ratio:.2f}x | {found['test_loss']:.2f} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {"likelihood": likelihood, "classic_job": classic_job}


def main() -> None:
    parts = [HEAD]
    for name, table in TABLES.items():
        record = HERE / "results" / f"{name}.json"
        if record.exists():
            parts.append(table(json.loads(record.read_text())))
    (HERE / "RESULTS.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
