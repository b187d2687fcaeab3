"""Jobs: every row once, in order, with its right score; finished parts are kept, and never mixed with others'."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from scoring.saved import saved_model
from vaekit.common.errors import DataError, UsageError
from vaekit.scoring import (
    BatchScorer,
    Codes,
    CsvRows,
    Engine,
    Job,
    Part,
    Score,
    Source,
    format_for,
    run_job,
    source_at,
)
from vaekit.scoring.engines import Tick, Work
from vaekit.scoring.job import MANIFEST

PLACES = {"rtol": 1e-5, "atol": 1e-5}
N = 1000
SCORE = (Score(samples=2),)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (N, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def table(rows: np.ndarray) -> pa.Table:
    names = [f"{number:04d}" for number in range(N)]
    return pa.table({"name": names, **{f"x{index}": rows[:, index] for index in range(6)}})


@pytest.fixture(scope="module")
def scores(model: Path, rows: np.ndarray) -> np.ndarray:
    """The scores of all rows in one batch."""
    return np.asarray(BatchScorer(model, SCORE)(rows)[:, 0])


def parquet_file(path: Path, table: pa.Table) -> Path:
    parquet.write_table(table, path / "rows.parquet", row_group_size=70)
    return path / "rows.parquet"


def parquet_folder(path: Path, table: pa.Table) -> Path:
    (path / "rows").mkdir()
    parquet.write_table(table.slice(333), path / "rows" / "b.parquet", row_group_size=200)
    parquet.write_table(table.slice(0, 333), path / "rows" / "a.parquet")
    return path / "rows"


def arrow_file(path: Path, table: pa.Table) -> Path:
    feather.write_feather(table, path / "rows.feather", chunksize=90)
    return path / "rows.feather"


def npy_file(path: Path, table: pa.Table) -> Path:
    np.save(path / "rows.npy", np.stack([table[f"x{index}"].to_numpy() for index in range(6)], axis=1))
    return path / "rows.npy"


def npz_file(path: Path, table: pa.Table) -> Path:
    np.savez(path / "rows.npz", np.stack([table[f"x{index}"].to_numpy() for index in range(6)], axis=1))
    return path / "rows.npz"


def csv_file(path: Path, table: pa.Table) -> Path:
    with (path / "rows.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([table.column_names, *zip(*(column.to_pylist() for column in table), strict=True)])
    return path / "rows.csv"


def bare_csv_file(path: Path, table: pa.Table) -> Path:
    lines = zip(*(column.to_pylist() for column in table.columns[1:]), strict=True)
    (path / "rows.csv").write_text("\n".join(",".join(map(str, line)) for line in lines) + "\n\n")
    return path / "rows.csv"


SOURCES = [parquet_file, parquet_folder, arrow_file, npy_file, npz_file, csv_file, bare_csv_file]
NAMED = [parquet_file, parquet_folder, arrow_file, csv_file]


def job(source: Source, out: Path, model: Path, **settings: Any) -> Job:
    defaults = {"format": format_for("parquet"), "part_rows": 150}
    return Job(BatchScorer(model, SCORE), source, out, **{**defaults, **settings})


def written(out: Path) -> pa.Table:
    return parquet.read_table(out)


@pytest.mark.parametrize("make", SOURCES)
@pytest.mark.parametrize("part_rows", [150, 5000])
def test_every_row_is_scored_once_in_order(
    make: Callable[[Path, pa.Table], Path],
    part_rows: int,
    table: pa.Table,
    scores: np.ndarray,
    model: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    seen: list[int] = []
    summary = run_job(job(source_at(make(tmp_path, table)), out, model, part_rows=part_rows), tick=seen.append)
    found = written(out)
    np.testing.assert_array_equal(found["row"].to_numpy(), np.arange(N))
    np.testing.assert_allclose(found["score"].to_numpy(), scores, **PLACES)
    assert (summary.rows, summary.parts, sum(seen)) == (N, -(-N // part_rows), N)
    assert len(list(out.glob("part-*"))) == summary.parts
    if make in NAMED:
        assert found["name"].to_pylist() == table["name"].to_pylist()
        assert found.column_names == ["row", "name", "score", "elbo"]


@pytest.mark.parametrize("form", ["parquet", "csv", "npy"])
def test_parts_of_every_format_hold_the_same(
    form: str, table: pa.Table, scores: np.ndarray, model: Path, tmp_path: Path
) -> None:
    run_job(job(source_at(parquet_file(tmp_path, table)), tmp_path / "out", model, format=format_for(form)))
    found = np.concatenate([SCORES_IN[form](path) for path in sorted((tmp_path / "out").glob("part-*"))])
    np.testing.assert_allclose(found, scores, **PLACES)


def test_without_pyarrow_parts_are_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    assert format_for("auto").suffix == ".parquet"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert format_for("auto").suffix == ".csv"
    with pytest.raises(UsageError, match=r"needs pyarrow: pip install 'vaekit\[parquet\]'"):
        format_for("parquet")


def _from_csv(path: Path) -> np.ndarray:
    with path.open() as file:
        lines = list(csv.DictReader(file))
    assert all(len(line["name"]) == 4 for line in lines)
    return np.array([float(line["score"]) for line in lines])


SCORES_IN: dict[str, Callable[[Path], np.ndarray]] = {
    "parquet": lambda path: parquet.read_table(path)["score"].to_numpy(),
    "csv": _from_csv,
    "npy": lambda path: np.load(path)[:, 0],
}


def test_what_is_kept_is_chosen(table: pa.Table, model: Path, tmp_path: Path) -> None:
    source = source_at(parquet_file(tmp_path, table))
    run_job(job(source, tmp_path / "none", model, keep=()))
    run_job(job(source, tmp_path / "some", model, keep=("x2", "name"), limit=151))
    assert written(tmp_path / "none").column_names == ["row", "score", "elbo"]
    assert written(tmp_path / "some").column_names == ["row", "x2", "name", "score", "elbo"]
    assert written(tmp_path / "some")["x2"].to_pylist() == table["x2"].to_pylist()[:151]


class Broken(Exception):
    """What breaks an engine off."""


def breaking_after(count: int) -> Engine:
    """An engine that breaks off within the part after so many."""

    def engine(work: Work, parts: Sequence[Part], tick: Tick) -> Iterator[Part]:
        for part in parts[:count]:
            work(part, tick)
            yield part

        def stop(rows: int) -> None:
            raise Broken

        work(parts[count], stop)

    return engine


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_a_broken_job_goes_on_where_it_was_and_ends_as_an_unbroken_one(
    table: pa.Table, model: Path, tmp_path: Path
) -> None:
    source = source_at(parquet_file(tmp_path, table))
    run_job(job(source, tmp_path / "whole", model))
    with pytest.raises(Broken):
        run_job(job(source, tmp_path / "broken", model), breaking_after(3))
    assert sorted(path.name for path in (tmp_path / "broken").glob("part-*")) == [
        f"part-0000{number}.parquet" for number in range(3)
    ]
    kept = (tmp_path / "broken" / "part-00001.parquet").stat().st_mtime_ns
    summary = run_job(job(source_at(source.name), tmp_path / "broken", model))
    assert (summary.skipped_parts, summary.skipped_rows) == (3, 450)
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    assert (tmp_path / "broken" / "part-00001.parquet").stat().st_mtime_ns == kept
    again = run_job(job(source, tmp_path / "broken", model))
    assert (again.skipped_parts, again.parts) == (7, 7)


def test_a_killed_process_leaves_whole_parts_that_another_goes_on_from(
    rows: np.ndarray, model: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "rows.npy", np.tile(rows, (20, 1)))
    command = [sys.executable, "-m", "vaekit", "score", str(model), str(tmp_path / "rows.npy"), "--samples", "5"]
    command += ["--part-rows", "200", "--quiet", "--device", "cpu"]
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    killed = subprocess.Popen([*command, "-o", str(broken)])
    wait_until(lambda: len(list(broken.glob("part-*"))) > 2 or killed.poll() is not None)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it was done before it could be killed: give it more rows"
    (broken / ".part-00099.parquet.partial-1").write_bytes(b"what a killed process was writing")
    before = contents(broken)
    for out in (broken, whole):
        subprocess.run([*command, "-o", str(out), "--rows", "0"], check=True)
    assert contents(broken) == contents(whole)
    finished = [name for name in before if name.startswith("part-")]
    assert all(before[name] == contents(whole)[name] for name in finished)
    assert 2 < len(finished) < 100


def wait_until(ready: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.01)


def test_parts_of_another_job_are_never_mixed_in(table: pa.Table, model: Path, tmp_path: Path) -> None:
    path, out = parquet_file(tmp_path, table), tmp_path / "out"
    run_job(job(source_at(path), out, model))
    other = saved_model(tmp_path / "other", "vae", seed=1)
    differing = {
        "model": job(source_at(path), out, other),
        "part_rows": job(source_at(path), out, model, part_rows=100),
        "keep": job(source_at(path), out, model, keep=()),
        "format": job(source_at(path), out, model, format=format_for("csv")),
        "rows": job(source_at(path), out, model, limit=999),
        "adds": Job(BatchScorer(model, (Codes(),)), source_at(path), out, format_for("parquet"), part_rows=150),
        "seed": Job(BatchScorer(model, SCORE, seed=1), source_at(path), out, format_for("parquet"), part_rows=150),
    }
    for what, changed in differing.items():
        with pytest.raises(UsageError, match=f"another run, which differs in {what}: choose another place"):
            run_job(changed)
    os.utime(path, ns=(0, 0))
    with pytest.raises(UsageError, match="differs in source"):
        run_job(job(source_at(path), out, model))
    found = run_job(differing["model"], force=True)
    assert found.skipped_parts == 0
    np.testing.assert_allclose(
        written(out)["score"].to_numpy(), BatchScorer(other, SCORE)(table.select(table.column_names))["score"], **PLACES
    )


def test_a_folder_of_other_things_is_left_alone(table: pa.Table, model: Path, tmp_path: Path) -> None:
    path, out = parquet_file(tmp_path, table), tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("dear")
    for force in (False, True):
        with pytest.raises(UsageError, match=r"holds something else \(thesis.tex\)"):
            run_job(job(source_at(path), out, model), force=force)
    (tmp_path / "file").write_text("a file")
    with pytest.raises(DataError, match="cannot write"):
        run_job(job(source_at(path), tmp_path / "file" / "out", model))


def test_a_job_that_never_wrote_a_part_does_not_bind_the_next(table: pa.Table, model: Path, tmp_path: Path) -> None:
    path, out = parquet_file(tmp_path, table), tmp_path / "out"
    with pytest.raises(Broken):
        run_job(job(source_at(path), out, model), breaking_after(0))
    run_job(job(source_at(path), out, model, part_rows=300))
    assert json.loads((out / MANIFEST).read_text())["part_rows"] == 300


def with_gap(table: pa.Table, row: int) -> pa.Table:
    values = table["x4"].to_numpy().copy()
    values[row] = np.nan
    return table.set_column(table.column_names.index("x4"), "x4", pa.array(values))


@pytest.mark.parametrize("make", SOURCES)
def test_a_row_that_is_wrong_is_named_by_its_number_in_the_source(
    make: Callable[[Path, pa.Table], Path], table: pa.Table, model: Path, tmp_path: Path
) -> None:
    def attempt() -> None:
        run_job(job(source_at(make(tmp_path, with_gap(table, 777))), tmp_path / "out", model))

    with pytest.raises(DataError, match=r"rows.*: row 777 .*(nan|NaN)") as error:
        attempt()
    assert len(str(error.value).splitlines()) == 1
    assert len(list((tmp_path / "out").glob("part-*"))) == 5


def test_a_value_that_cannot_be_explained_is_named_likewise(table: pa.Table, model: Path, tmp_path: Path) -> None:
    values = table["x4"].to_numpy().copy()
    values[777] = 3
    wrong = table.set_column(table.column_names.index("x4"), "x4", pa.array(values))
    with pytest.raises(DataError, match=r"rows.parquet: row 777 of x holds 3, outside"):
        run_job(job(source_at(parquet_file(tmp_path, wrong)), tmp_path / "out", model))


def test_columns_that_are_not_there_are_refused_before_anything_is_written(
    table: pa.Table, model: Path, tmp_path: Path
) -> None:
    source = source_at(parquet_file(tmp_path, table.drop_columns(["x5"])))
    with pytest.raises(DataError, match=r"rows.parquet: the model reads 6 values a row, and there are 5 columns"):
        run_job(job(source, tmp_path / "out", model))
    scorer = BatchScorer(model, SCORE, columns=[f"x{index}" for index in range(6)])
    with pytest.raises(UsageError, match=r"rows.parquet: unknown column 'x5'"):
        run_job(Job(scorer, source, tmp_path / "out", format_for("csv")))
    with pytest.raises(UsageError, match="no column 'nome' to keep: there are name, x0"):
        run_job(job(source_at(parquet_file(tmp_path, table)), tmp_path / "out", model, keep=("nome",)))
    assert not (tmp_path / "out").exists()


DAMAGE = {
    "rows.parquet": (b"PAR1 and then nothing", "rows.parquet: is cut short"),
    "rows.npy": (b"\x93NUMPY and then nothing", "rows.npy: is cut short"),
    "empty.csv": (b"", "empty.csv: is empty"),
    "header.csv": (b"a,b\n", "header.csv: holds no rows"),
    "latin.csv": ("a,b\n1,é\n".encode("latin-1"), "latin.csv: is no CSV in UTF-8"),
    "quoted.csv": (b'a,b\n1,2\n1,"2\n3"\n', "quoted.csv: row 1 of the file has a quoted line break"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    content, words = DAMAGE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        list(source_at(tmp_path / name).read(0, 1, 1))


def test_a_line_of_text_with_too_few_fields_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n" + "1,2\n" * 5000 + "3\n")
    with pytest.raises(DataError, match=r"rows.csv: row 5000 of the file has 1 fields, not 2"):
        list(source_at(tmp_path / "rows.csv").read(4990, 5001, 100))


def test_any_range_of_a_text_is_read_from_a_place_nearby(tmp_path: Path) -> None:
    count = 3 * CsvRows.EVERY + 5
    (tmp_path / "rows.csv").write_text("n,name\n" + "".join(f"{n},a{n}\n\n" for n in range(count)))
    source = source_at(tmp_path / "rows.csv")
    assert source.rows == count
    for start, stop in ((0, 3), (CsvRows.EVERY - 1, CsvRows.EVERY + 2), (count - 9000, count)):
        read = list(source.read(start, stop, 1000))
        assert [text for table in read for text in table.raw("name")] == [f"a{n}" for n in range(start, stop)]
        assert max(map(len, read)) <= 1000


MEASURE = """
import resource, sys
from pathlib import Path
from vaekit.scoring import BatchScorer, Codes, Job, format_for, run_job, source_at
model, source, out = map(Path, sys.argv[1:])
run_job(Job(BatchScorer(model, (Codes(),)), source_at(source), out, format_for("npy")))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
"""


def peak(model: Path, source: Path, out: Path) -> float:
    """The most memory, in MiB, that a process took to encode a source."""
    command = [sys.executable, "-c", MEASURE, str(model), str(source), str(out)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """Five times the data, 80 MiB more of them, take at most a third of that more memory."""
    model = saved_model(tmp_path / "model", "vae", (512,), hidden=(8,), latent=2)
    some = np.random.default_rng(0).integers(0, 2, (10_000, 512)).astype(np.float32)
    for count in (1, 5):
        np.save(tmp_path / f"{count}.npy", np.tile(some, (count, 1)))
        with parquet.ParquetWriter(tmp_path / f"{count}.parquet", schema_of(some)) as writer:
            for _ in range(count):
                writer.write_table(listed(some), row_group_size=5000)
    for kind in ("npy", "parquet"):
        small, large = (peak(model, tmp_path / f"{n}.{kind}", tmp_path / f"{kind}{n}") for n in (1, 5))
        assert large - small < 27, (kind, small, large)


def listed(rows: np.ndarray) -> pa.Table:
    return pa.table({"x": pa.FixedSizeListArray.from_arrays(rows.ravel(), rows.shape[1])})


def schema_of(rows: np.ndarray) -> pa.Schema:
    return listed(rows[:1]).schema
