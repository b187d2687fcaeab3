"""Writes benchmarks/RESULTS.md from the records in benchmarks/results/, each told by the script that made it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import records

HEAD = """# Results

Every figure below was written here by `python benchmarks/results.py` from a record in `benchmarks/results/`, which the
command above each table made. Losses to a published figure are printed as large as wins. A run that was cut short,
because the machine at hand could not do the whole, says so: its figure is no match for the published one.
`make bench` measures again what can be measured in about an hour on two cores; likelihoods take hours on a GPU.
"""
SCRIPTS = (
    "classic_job",
    "first_step",
    "contention",
    "fit_many",
    "streams",
    "distributed",
    "kills",
    "likelihood",
    "bracket",
    "discrete",
    "tables",
    "labels",
    "duplication",
)


def main() -> None:
    found = {name: records.read(name) for name in SCRIPTS}
    sections = [import_module(name).told(*measured) for name, measured in found.items() if measured]
    Path(__file__).with_name("RESULTS.md").write_text("\n".join([HEAD, *sections]))


if __name__ == "__main__":
    main()
