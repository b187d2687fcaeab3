"""Records of benchmarks: written by the script that measured, read by `results.py`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def today() -> str:
    """The date, for a record."""
    return datetime.now(UTC).date().isoformat()


def write(name: str, record: Mapping[str, Any]) -> None:
    """Write a record, with the date and torch's version."""
    place = RESULTS / f"{name}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    dated = {**record, "torch": str(torch.__version__), "date": today()}
    place.write_text(json.dumps(dated, indent=2) + "\n")


def read(name: str) -> list[dict[str, Any]]:
    """The records of this name: one file, or those of a folder; none where nothing was measured yet."""
    single, folder = RESULTS / f"{name}.json", RESULTS / name
    files = [single] if single.exists() else sorted(folder.glob("*.json"))
    return [json.loads(file.read_text()) for file in files]


def section(title: str, command: str, head: Sequence[str], rows: Iterable[Sequence[object]], *more: str) -> str:
    """A section of RESULTS.md: what was measured, by which command, and a table of it."""
    table = [head, ["---"] * len(head), *rows]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in table]
    return "\n".join([f"## {title}", "", f"`{command}`", *(["", *more] if more else []), "", *lines]) + "\n"
