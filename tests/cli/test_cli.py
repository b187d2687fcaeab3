"""The command line as a user meets it: what it writes, what it prints, and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from vaekit.cli.app import app
from vaekit.cli.launch import launch
from vaekit.model import FittedVAE

SMALL = ["--epochs", "2", "--samples", "5", "--quiet", "--device", "cpu", "--model.latent", "2", "--model.hidden", "16"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .npz of small grey images with a test split and labels."""
    path = tmp_path_factory.mktemp("rows") / "rows.npz"
    draw = np.random.default_rng(0)
    x, y = draw.random((120, 6, 6)).astype(np.float32), draw.integers(0, 3, 120)
    np.savez(path, x=x[:90], y=y[:90], x_test=x[90:], y_test=y[90:])
    return path


@pytest.fixture(scope="module")
def run(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert launch(app, ["fit", str(rows), "--out", str(out), *SMALL]) == 0
    return out


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_run_directory_is_complete(run: Path) -> None:
    found = {path.name for path in run.iterdir()}
    assert found == {"config.toml", "model", "history.jsonl", "metrics.json", "report.html"}
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["elbo"] == pytest.approx(metrics["test"]["log_likelihood"] - metrics["test"]["kl"])
    assert metrics["test"]["log_evidence"] >= metrics["test"]["elbo"] - 5 * metrics["test"]["stderr"] - 0.5
    assert metrics["test"]["samples"] == 5
    assert metrics["density"]["is_likelihood"] is False
    assert len((run / "history.jsonl").read_text().splitlines()) == 2


def test_the_resolved_config_repeats_the_run_to_the_bit(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert launch(app, ["fit", "--config", str(run / "config.toml"), "--out", str(again), "--quiet"]) == 0
    first, second = (FittedVAE.load(path / "model").model.state_dict() for path in (run, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_flags_win_over_the_environment_over_the_file(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VAEKIT_BATCH_SIZE", "7")
    monkeypatch.setenv("VAEKIT_EPOCHS", "8")
    config = ["--config", str(run / "config.toml")]
    assert launch(app, ["fit", *config, "--epochs", "9", "--model.latent", "3", "--print-config"]) == 0
    settings = tomllib.loads(capsys.readouterr().out)
    assert (settings["epochs"], settings["batch_size"], settings["samples"]) == (9, 7, 5)
    assert settings["model"]["latent"] == 3
    assert settings["model"]["hidden"] == [16]


def test_evaluate_agrees_with_the_run_and_speaks_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(app, ["evaluate", str(run), "--samples", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = json.loads((run / "metrics.json").read_text())["test"]
    assert found["elbo"] == pytest.approx(wanted["elbo"], rel=1e-6)
    assert found["log_evidence"] == pytest.approx(wanted["log_evidence"], rel=1e-6)


def test_results_are_those_of_the_model(run: Path, rows: Path, tmp_path: Path) -> None:
    fitted, test = FittedVAE.load(run / "model"), np.load(rows)["x_test"]
    assert launch(app, ["encode", str(run), "-o", str(tmp_path / "z.npz"), "--quiet"]) == 0
    codes = np.load(tmp_path / "z.npz")
    assert np.array_equal(codes["z"], fitted.encode(test).numpy())
    assert np.array_equal(codes["y"], np.load(rows)["y_test"])
    assert launch(app, ["reconstruct", str(run), "-o", str(tmp_path / "r.npy"), "--rows", "4", "--quiet"]) == 0
    assert np.array_equal(np.load(tmp_path / "r.npy"), fitted.reconstruct(test[:4]).numpy())
    assert launch(app, ["sample", str(run), "-n", "5", "-o", str(tmp_path / "x.npy"), "--quiet"]) == 0
    assert np.array_equal(np.load(tmp_path / "x.npy"), fitted.sample(5).numpy())
    way = ["interpolate", str(run), "--pairs", "2", "--steps", "3", "-o", str(tmp_path / "w.npy"), "--quiet"]
    assert launch(app, way) == 0
    ends = np.load(tmp_path / "w.npy")[:, 0]
    assert np.allclose(ends, fitted.reconstruct(test[:2]).numpy(), atol=1e-5)


def test_a_csv_of_codes_holds_the_codes(run: Path, tmp_path: Path) -> None:
    assert launch(app, ["encode", str(run), "-o", str(tmp_path / "z.csv"), "--quiet"]) == 0
    lines = (tmp_path / "z.csv").read_text().splitlines()
    assert lines[0] == "z0,z1,y"
    assert len(lines) == 31


def test_a_picture_is_a_png(run: Path, tmp_path: Path) -> None:
    assert launch(app, ["sample", str(run), "-n", "5", "--mean", "-o", str(tmp_path / "x.png"), "--quiet"]) == 0
    assert (tmp_path / "x.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("verb", [["recipes"], ["recipes", "vae"], ["data"], ["inspect", "RUN"]])
def test_every_listing_speaks_json_and_words(verb: list[str], run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = [str(run) if word == "RUN" else word for word in verb]
    assert launch(app, [*call, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert launch(app, call) == 0
    assert len(capsys.readouterr().out) > 40


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "vea"], "unknown recipe 'vea': did you mean 'vae'?"),
        (["--model.latnet", "3"], "'latnet': did you mean 'latent'?"),
        (["--model.latent", "0"], "latent is 0"),
        (["--model.latent", "two"], "setting 'latent' is 'two': it must be a number"),
        (["--epohcs", "3"], "--epohcs"),
        (["--epochs", "0"], "max_epochs is 0"),
        (["--samples", "0"], "samples is 0"),
        (["--optimizer", "adamm"], "did you mean 'adam'?"),
        (["--device", "cuda:99"], "device 'cuda:99' is not there"),
        (["--binarize", "dynamc"], "did you mean 'dynamic'?"),
        (["--validation", "1"], "fraction of 1"),
    ],
)
def test_a_wrong_setting_is_one_line_and_leaves_nothing(
    arguments: list[str], words: str, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert launch(app, ["fit", str(rows), "--out", str(out), "--quiet", *arguments]) == 2
    assert words in said(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.full((9, 4), 2.0), "row 0 of x holds 2"),
        (np.array([[0.1, np.inf]]), "row 0 of x holds an infinity"),
        (np.zeros((0, 4)), "empty"),
        (np.zeros(4), "shape"),
    ],
)
def test_bad_rows_are_named(x: np.ndarray, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "bad.npy", x)
    assert launch(app, ["fit", str(tmp_path / "bad.npy"), "--out", str(tmp_path / "out"), *SMALL]) == 2
    assert words in said(capsys)
    assert not (tmp_path / "out").exists()


def test_an_existing_place_is_kept_unless_forced(
    run: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "metrics.json").read_bytes()
    assert launch(app, ["fit", str(rows), "--out", str(run), *SMALL]) == 2
    assert "--force" in said(capsys)
    assert (run / "metrics.json").read_bytes() == before
    assert launch(app, ["sample", str(run), "-o", str(tmp_path / "no" / "x.npy")]) == 2
    assert "no folder" in said(capsys)


def test_a_typo_in_a_config_file_names_the_file_and_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text('source = "mnist"\nout = "x"\nepohcs = 3\n')
    assert launch(app, ["fit", "--config", str(tmp_path / "c.toml")]) == 2
    line = said(capsys)
    assert "c.toml" in line
    assert "epohcs" in line
    assert "epochs" in line


def test_divergence_keeps_the_last_good_weights(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).random((200, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "out"
    wild = [
        "--optimizer",
        "sgd",
        "--learning-rate",
        "2000",
        "--model.likelihood",
        "normal_by_decoder",
        "--epochs",
        "50",
    ]
    assert launch(app, ["fit", str(tmp_path / "x.npy"), "--out", str(out), "--quiet", *wild]) == 1
    line = said(capsys)
    assert "training diverged" in line
    assert "epoch" in line
    assert "step" in line
    assert not (out / "metrics.json").exists()


def test_help_loads_nothing_heavy_and_is_quick() -> None:
    code = "import sys; from vaekit.cli.app import app; app(['--help'], result_action='return_value'); "
    code += "print('torch' in sys.modules, 'numpy' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False False"
