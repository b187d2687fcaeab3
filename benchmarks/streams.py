"""Data larger than memory: the peak of memory from 1 to 20 times the data, and rows a second against in memory.

    python benchmarks/streams.py                     # rows of 16 to 320 MiB, read within 12 MiB
    python benchmarks/streams.py --base 1024 --memory 512 --kinds npy parquet images

Each measurement is a process of its own: two shuffled passes over the file (`Stream`), then a fit of the classic model
on it, by `vaekit.fit`. Peaks are VmHWM of Linux, the whole process with Python and torch in it. `in memory` fits the
same rows read whole. The record goes to benchmarks/results/streams.json.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import records
import torch
from PIL import Image

import vaekit
from vaekit.data import Encoding, Greys, Streamed, load_data, open_data
from vaekit.data.streams import Part
from vaekit.train import describe
from vaekit.train.rows.streams import Stream

WIDE, SIDE, BATCH = 64, 8, 1024
"""Values to a row; pixels to a side of an image, of one byte each; examples to an update."""
MIB = 2**20


def values(rows: int, seed: int) -> np.ndarray:
    """Rows of a low-dimensional structure, between 0 and 1."""
    generator = np.random.default_rng(seed)
    loadings = np.random.default_rng(0).standard_normal((8, WIDE))
    codes = generator.standard_normal((rows, 8))
    return (1 / (1 + np.exp(-codes @ loadings))).astype(np.float32)


def parts(rows: int, at_once: int = 8192) -> Iterator[np.ndarray]:
    """Rows, a few thousand at a time."""
    return (values(min(at_once, rows - first), seed=first) for first in range(0, rows, at_once))


def write_npy(folder: Path, rows: int) -> Path:
    path = folder / "rows.npy"
    mapped = np.lib.format.open_memmap(path, "w+", np.float32, (rows, WIDE))
    at = 0
    for part in parts(rows):
        mapped[at : at + len(part)] = part
        at += len(part)
    return path


def write_parquet(folder: Path, rows: int) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, names = folder / "rows.parquet", [f"v{column}" for column in range(WIDE)]
    with pq.ParquetWriter(path, pa.schema([(name, pa.float32()) for name in names])) as writer:
        for part in parts(rows):
            writer.write_table(pa.table(dict(zip(names, part.T, strict=True))))
    return path


def write_images(folder: Path, rows: int) -> Path:
    path = folder / "images"
    path.mkdir()
    number = 0
    for part in parts(rows):
        for picture in (255 * part.reshape(-1, SIDE, SIDE)).astype(np.uint8):
            Image.fromarray(picture).save(path / f"{number:08}.png")
            number += 1
    return path


WRITERS: dict[str, Callable[[Path, int], Path]] = {
    "npy": write_npy,
    "parquet": write_parquet,
    "images": write_images,
}


def peak() -> float:
    """MiB of this process's memory at its height."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def measure(path: Path, memory: int, whole: bool) -> dict[str, float]:
    """Read and fit a file in this process: rows a second, and the peak after each."""
    data = load_data(path) if whole else open_data(path, memory)
    shape = data.train.event_shape
    found = {"rows": float(len(data.train))}
    if isinstance(data, Streamed):
        stream = Stream(Part(data.train), Encoding(Greys()), BATCH, torch.device("cpu"), memory)
        started = time.perf_counter()
        read = sum(len(batch) for epoch in range(2) for batch in stream.shuffled(epoch))
        found |= {"read_rows_a_second": read / (time.perf_counter() - started), "read_peak": peak()}
    model, objective = vaekit.build("vae", shape)
    fitted = vaekit.fit(
        model, objective, data, max_epochs=1, batch_size=BATCH, validation=0.0, device="cpu", verbose=False
    )
    return found | {"fit_rows_a_second": fitted.about.training["examples_per_second"], "fit_peak": peak()}


def in_a_process(path: Path, memory: int, whole: bool = False) -> dict[str, float]:
    """The same, in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(path), "--memory", str(memory), *["--whole"][:whole]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(kind: str, base: int, times: list[int], memory: int) -> dict[str, dict[str, float]]:
    """Each size streamed, and the smallest one from memory."""
    found = {}
    row = SIDE * SIDE if kind == "images" else 4 * WIDE
    for several in times:
        with tempfile.TemporaryDirectory() as folder:
            path = WRITERS[kind](Path(folder), several * base * MIB // row)
            if several == times[0]:
                found["in memory"] = in_a_process(path, memory, whole=True)
            found[f"{several}x"] = in_a_process(path, memory)
            print(kind, f"{several}x", found[f"{several}x"], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=int, default=16, help="MiB of rows of the smallest file")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 5, 20], help="sizes, in units of the smallest")
    parser.add_argument("--memory", type=int, default=12, help="MiB of rows that are held at once")
    parser.add_argument("--kinds", nargs="+", default=["npy", "parquet"], choices=list(WRITERS))
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure is not None:
        print(json.dumps(measure(asked.measure, asked.memory, asked.whole)))
        return
    found = {kind: compare(kind, asked.base, asked.times, asked.memory) for kind in asked.kinds}
    record = {
        "stores": found,
        "base_mib": asked.base,
        "memory_mib": asked.memory,
        "device": describe(torch.device("cpu")),
    }
    records.write("streams", record)


def told(record: Mapping[str, Any]) -> str:
    """The record as a section of RESULTS.md."""
    return records.section(
        f"Data larger than memory: {record['device']}, torch {record['torch']}, {record['date']}",
        f"python benchmarks/streams.py --base {record['base_mib']} --memory {record['memory_mib']}",
        ("data", "rows", "peak of the process, MiB", "read, rows a second", "fit, rows a second"),
        (
            (
                f"{kind}, {size}",
                f"{found['rows']:,.0f}",
                f"{found['fit_peak']:.0f}",
                _speed(found, "read"),
                _speed(found, "fit"),
            )
            for kind, sizes in record["stores"].items()
            for size, found in sizes.items()
        ),
    )


def _speed(found: Mapping[str, float], what: str) -> str:
    speed = found.get(f"{what}_rows_a_second")
    return "" if speed is None else f"{speed:,.0f}"


if __name__ == "__main__":
    main()
