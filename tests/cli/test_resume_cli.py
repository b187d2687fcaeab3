"""Runs of the command line that are broken off and taken up: signals, kills, full disks, and what a user is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from vaekit.cli.app import app
from vaekit.cli.launch import launch
from vaekit.cli.rundir import RunDirectory, open_model
from vaekit.model import FittedVAE
from vaekit.store import read_history
from vaekit.train import Epoch

SMALL = ["--samples", "5", "--device", "cpu", "--model.latent", "2", "--model.hidden", "16", "--batch-size", "16"]
LONG = [*SMALL, "--epochs", "12", "--validation", "0.2", "--binarize", "dynamic"]
ENDLESS = [*SMALL, "--epochs", "1000000", "--validation", "0"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .npz of small grey images with a test split."""
    path = tmp_path_factory.mktemp("rows") / "rows.npz"
    draw = np.random.default_rng(0)
    x = draw.random((200, 6, 6)).astype(np.float32)
    np.savez(path, x=x[:160], x_test=x[160:])
    return path


@pytest.fixture(scope="module")
def whole(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert launch(app, ["fit", str(rows), "--out", str(out), "--quiet", *LONG]) == 0
    return out


def started(*words: str) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "vaekit", "fit", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def wait_until_kept(out: Path, process: subprocess.Popen[str]) -> None:
    """Until the run has a checkpoint."""
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoints/epoch-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def broken_off(rows: Path, out: Path, number: int, *words: str) -> subprocess.Popen[str]:
    """A run that was sent a signal once it had a checkpoint."""
    process = started(str(rows), "--out", str(out), *words)
    wait_until_kept(out, process)
    process.send_signal(number)
    process.wait(timeout=60)
    return process


def refuse_difference(one: Path, other: Path) -> None:
    """Model, history but for the time, and results: to the bit."""
    a, b = (FittedVAE.load(path / "model").model.state_dict() for path in (one, other))
    assert all(torch.equal(a[name], b[name]) for name in a)
    histories = [[timeless(epoch) for epoch in read_history(path / "history.jsonl")] for path in (one, other)]
    assert histories[0] == histories[1]
    results = [json.loads((path / "metrics.json").read_text()) for path in (one, other)]
    assert results[0]["test"] == results[1]["test"]


def timeless(epoch: Epoch) -> dict[str, object]:
    return {name: value for name, value in epoch.as_record().items() if name != "seconds"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_run_that_is_broken_off_goes_on_to_the_same_end(number: int, code: int, rows: Path, tmp_path: Path) -> None:
    """It goes on to three epochs more than it had, as a run would that nobody interrupted."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    process = broken_off(rows, out, number, *ENDLESS, "--binarize", "dynamic")
    assert process.returncode == code
    assert not (out / "metrics.json").exists()
    told = f"go on with vaekit fit --resume {out}" in process.communicate()[1]
    assert told == (number != signal.SIGKILL)
    epochs = ["--epochs", str(len(read_history(out / "history.jsonl")) + 3)]
    assert launch(app, ["fit", "--resume", str(out), "--quiet", *epochs]) == 0
    assert launch(app, ["fit", "--config", str(out / "config.toml"), "--out", str(whole), "--quiet"]) == 0
    refuse_difference(whole, out)


def test_a_second_signal_ends_at_once(rows: Path, tmp_path: Path) -> None:
    process = started(str(rows), "--out", str(tmp_path / "out"), *ENDLESS)
    wait_until_kept(tmp_path / "out", process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    process.communicate()


def test_an_unfinished_run_can_be_used(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken_off(rows, out, signal.SIGKILL, *ENDLESS).communicate()
    with pytest.warns(UserWarning, match="did not finish: this is the model of epoch"):
        fitted = open_model(out, "cpu")
    assert fitted.sample(2).shape == (2, 1, 6, 6)
    assert len(fitted.history) == fitted.about.training["epochs"] > 0
    said = subprocess.run(
        [sys.executable, "-m", "vaekit", "sample", str(out), "--out", str(tmp_path / "x.npy"), "--device", "cpu"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stderr.startswith(f"vaekit: {out} did not finish")
    assert len(said.stderr.splitlines()) == 1
    assert np.load(tmp_path / "x.npy").shape == (64, 1, 6, 6)


def test_a_finished_run_is_left_as_it_is(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert launch(app, ["fit", "--resume", str(whole)]) == 0
    assert "has finished: there is nothing to resume" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_a_run_killed_after_its_training_goes_on_to_its_evaluation(
    rows: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not trained again: its epochs take no time, as they are not done."""
    out = tmp_path / "out"

    def dies(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr(RunDirectory, "finish", dies)
    with pytest.raises(SystemExit):
        launch(app, ["fit", str(rows), "--out", str(out), "--quiet", *LONG])
    monkeypatch.undo()
    history = (out / "history.jsonl").read_text()
    assert launch(app, ["fit", "--resume", str(out), "--quiet"]) == 0
    assert (out / "history.jsonl").read_text() == history
    assert not (out / "checkpoints").exists()
    refuse_difference(whole, out)


def test_the_environment_does_not_change_a_run_that_is_taken_up(
    rows: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(RunDirectory, "finish", lambda *_: exec("raise SystemExit"))
    with pytest.raises(SystemExit):
        launch(app, ["fit", str(rows), "--out", str(out), "--quiet", *LONG])
    monkeypatch.undo()
    monkeypatch.setenv("VAEKIT_BATCH_SIZE", "7")
    assert launch(app, ["fit", f"--resume={out}", "--quiet"]) == 0
    refuse_difference(whole, out)


def test_other_data_or_settings_are_told(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, own = tmp_path / "out", tmp_path / "own.npz"
    own.write_bytes(rows.read_bytes())
    monkeypatch.setattr(RunDirectory, "finish", lambda *_: exec("raise SystemExit"))
    with pytest.raises(SystemExit):
        launch(app, ["fit", str(own), "--out", str(out), "--quiet", *SMALL, "--epochs", "2"])
    monkeypatch.undo()
    capsys.readouterr()
    assert launch(app, ["fit", "--resume", str(out), "--batch-size", "8"]) == 2
    assert "is of another run: its batch_size was 16, and now is 8" in capsys.readouterr().err
    x = np.load(own)["x"]
    np.savez(own, x=x[::-1], x_test=x)
    assert launch(app, ["fit", "--resume", str(out), "--quiet"]) == 2
    assert "is of another run: its data was" in capsys.readouterr().err
    assert list((out / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--resume", "nowhere"], "nowhere is no run that can be resumed, it has no config.toml"),
        (["--resume", "nowhere", "--config", "some.toml"], "leave --config out"),
    ],
)
def test_what_cannot_be_resumed_is_one_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(app, ["fit", *words]) == 2
    line = capsys.readouterr().err.strip()
    assert complaint in line
    assert len(line.splitlines()) == 1


def test_a_run_killed_before_its_first_checkpoint_begins_again(rows: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    config = (whole / "config.toml").read_text().replace(str(whole), str(out))
    (out / "config.toml").write_text(config)
    (out / "history.jsonl").write_text((whole / "history.jsonl").read_text())
    assert launch(app, ["fit", "--resume", str(out), "--quiet"]) == 0
    refuse_difference(whole, out)


def test_force_begins_anew_over_a_run_that_was_broken_off(rows: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken_off(rows, out, signal.SIGKILL, *ENDLESS, "--seed", "5").communicate()
    assert launch(app, ["fit", str(rows), "--out", str(out), "--quiet", *LONG]) == 2
    assert launch(app, ["fit", str(rows), "--out", str(out), "--quiet", "--force", *LONG]) == 0
    refuse_difference(whole, out)
