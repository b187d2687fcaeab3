"""The command line on data larger than the memory it is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from vaekit.cli.app import app
from vaekit.cli.launch import launch

SMALL = ["--epochs", "1", "--samples", "2", "--batch-size", "500", "--model.latent", "2", "--model.hidden", "8"]


def test_a_folder_of_parquet_is_fitted_evaluated_and_used_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(0).random((30_000, 16), dtype=np.float32)
    (tmp_path / "parts").mkdir()
    for number, part in enumerate(np.split(rows, 2)):
        table = pa.table({f"v{column}": values for column, values in enumerate(part.T)})
        pa.parquet.write_table(table, tmp_path / "parts" / f"{number}.parquet", row_group_size=1000)
    out = tmp_path / "out"
    assert launch(app, ["fit", str(tmp_path / "parts"), "--out", str(out), "--memory", "1", *SMALL]) == 0
    assert "30,000 rows, streamed within 1 MiB; block shuffling" in capsys.readouterr().err
    found = json.loads((out / "metrics.json").read_text())
    assert found["train"]["examples"] == 30_000
    assert 1000 < found["held_out"]["rows"] <= 10_000
    assert (out / "report.html").exists()
    assert launch(app, ["evaluate", str(out), "--samples", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == found["held_out"]["rows"]


def test_a_text_column_is_named_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "parts").mkdir()
    pa.parquet.write_table(pa.table({"a": [1.0], "city": ["Oslo"]}), tmp_path / "parts" / "x.parquet")
    assert launch(app, ["fit", str(tmp_path / "parts"), "--out", str(tmp_path / "out"), *SMALL]) == 2
    assert "column 'city' is string" in capsys.readouterr().err
