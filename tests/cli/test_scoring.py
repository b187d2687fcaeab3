"""`vaekit score` and `vaekit encode`, as a user meets them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from vaekit.cli.app import app
from vaekit.cli.launch import launch
from vaekit.model import FittedVAE, load_model

HASTE = ["--quiet", "--device", "cpu"]


@pytest.fixture(scope="module")
def bits() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, (90, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def run(bits: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on rows with a test split."""
    home = tmp_path_factory.mktemp("runs")
    np.savez(home / "rows.npz", x=bits, x_test=bits[:20])
    settings = ["--epochs", "1", "--samples", "2", "--model.latent", "2", "--model.hidden", "8"]
    assert launch(app, ["fit", str(home / "rows.npz"), "--out", str(home / "run"), *settings, *HASTE]) == 0
    return home / "run"


@pytest.fixture(scope="module")
def table(bits: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "big.parquet"
    columns = {name: bits[:, place] for place, name in enumerate("abcde")}
    parquet.write_table(pa.table({"id": [f"r{row}" for row in range(90)], **columns}), path, row_group_size=40)
    return path


def fitted(run: Path) -> FittedVAE:
    return load_model(run / "model", device="cpu")


def test_a_table_is_scored_into_a_folder_that_reads_as_one_table(
    run: Path, table: Path, bits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", str(run), str(table), "-o", str(tmp_path / "out"), "--part-rows", "32", "--samples", "7"]
    assert launch(app, [*command, "--seed", "4", "--json", "--device", "cpu"]) == 0
    spoken = capsys.readouterr()
    record = json.loads(spoken.out)
    assert {name: record[name] for name in ("rows", "parts", "skipped_parts", "columns")} == {
        "rows": 90,
        "parts": 3,
        "skipped_parts": 0,
        "columns": ["score", "elbo", "p_value"],
    }
    assert "90 rows in 3 parts" in spoken.err
    found = parquet.read_table(tmp_path / "out")
    assert found["id"].to_pylist() == [f"r{row}" for row in range(90)]
    right = fitted(run).score_samples(bits, 7, seed=4).numpy()
    np.testing.assert_allclose(-found["score"].to_numpy(), right, rtol=1e-5)


def test_a_table_is_encoded_into_a_folder(run: Path, table: Path, bits: np.ndarray, tmp_path: Path) -> None:
    command = ["encode", str(run), str(table), "-o", str(tmp_path / "out"), "--keep", "", "--columns", "a,b,c,d,e"]
    assert launch(app, [*command, *HASTE]) == 0
    found = parquet.read_table(tmp_path / "out")
    assert found.column_names == ["row", "z0", "z1"]
    codes = np.stack([found["z0"], found["z1"]], axis=1)
    np.testing.assert_allclose(codes, fitted(run).encode(bits).numpy(), rtol=1e-5, atol=1e-6)


def test_without_a_source_the_runs_test_rows_are_scored(run: Path, bits: np.ndarray, tmp_path: Path) -> None:
    common = ["score", str(run), "--samples", "3", *HASTE, "-o"]
    assert launch(app, [*common, str(tmp_path / "folder"), "--format", "npy"]) == 0
    assert launch(app, [*common, str(tmp_path / "file.npy")]) == 0
    right = -fitted(run).score_samples(bits[:20], 3).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "folder" / "part-00000.npy")[:, 0], right, rtol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "file.npy"), right, rtol=1e-5)


def test_the_same_command_again_does_nothing_and_another_is_refused(
    run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", str(run), str(table), "-o", str(tmp_path / "out"), "--samples", "2", "--device", "cpu"]
    assert launch(app, [*command, "-q"]) == 0
    written = (tmp_path / "out" / "part-00000.parquet").stat().st_mtime_ns
    assert launch(app, [*command, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped_parts"] == 1
    assert (tmp_path / "out" / "part-00000.parquet").stat().st_mtime_ns == written
    assert launch(app, [*command, "--by", "elbo", "-q"]) == 2
    assert "another run, which differs in adds" in capsys.readouterr().err
    assert launch(app, [*command, "--by", "elbo", "-q", "--force"]) == 0


REFUSED = {
    "no such column": (["--columns", "a,b,c,d,f"], "big.parquet: unknown column 'f'"),
    "too few columns": (["--columns", "a,b"], "(2,), but the model explains (5,)"),
    "no such engine": (["--engine", "rey"], "unknown engine 'rey': did you mean 'ray'?"),
    "no such format": (["--format", "parket"], "unknown format of parts 'parket'"),
    "parts of nothing": (["--part-rows", "0"], "parts of 0 rows"),
    "less than no rows": (["--rows", "-1"], "-1 rows"),
    "no samples": (["--samples", "0"], "0 samples"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_wrong_wish_is_one_line_and_exit_code_2(
    fault: str, run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags, words = REFUSED[fault]
    assert launch(app, ["score", str(run), str(table), "-o", str(tmp_path / "out"), *HASTE, *flags]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert len(said.splitlines()) == 1


def test_settings_of_parts_are_refused_for_a_file(
    run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(app, ["score", str(run), str(table), "-o", str(tmp_path / "a.csv"), "--keep", "id", *HASTE]) == 2
    assert "a.csv is one file" in capsys.readouterr().err
    assert launch(app, ["encode", str(run), str(table), "-o", str(tmp_path / "out"), "--draws", "3", *HASTE]) == 2
    assert "name a file" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_ray_is_asked_for_in_one_line_where_it_is_not_installed(
    run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(app, ["score", str(run), str(table), "-o", str(tmp_path / "out"), "--engine", "ray", *HASTE]) == 2
    assert "pip install 'vaekit[ray]'" in capsys.readouterr().err
    assert launch(app, ["score", str(run), str(table), "-o", str(tmp_path / "out"), "--samples", "2", *HASTE]) == 0


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_ray_writes_the_same_parts(run: Path, table: Path, tmp_path: Path) -> None:
    command = ["score", str(run), str(table), "--samples", "3", "--part-rows", "30", *HASTE]
    assert launch(app, [*command, "-o", str(tmp_path / "ray"), "--engine", "ray"]) == 0
    assert launch(app, [*command, "-o", str(tmp_path / "local")]) == 0
    one, other = (parquet.read_table(tmp_path / name) for name in ("ray", "local"))
    assert one["row"].equals(other["row"])
    np.testing.assert_allclose(one["score"].to_numpy(), other["score"].to_numpy(), rtol=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_fault_on_ray_is_one_line_too(
    run: Path, bits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "rows.npy", np.where(np.arange(90)[:, None] == 77, 3, bits))
    command = ["score", str(run), str(tmp_path / "rows.npy"), "--part-rows", "30", "--engine", "ray", *HASTE]
    assert launch(app, [*command, "-o", str(tmp_path / "out")]) == 2
    assert "rows.npy: row 77 of x holds 3, outside" in capsys.readouterr().err.splitlines()[-1]
