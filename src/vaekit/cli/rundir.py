"""Run directories: what a run leaves, and how an unfinished one is told from a finished one."""

from __future__ import annotations

import json
import shutil
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from vaekit.cli.launch import CONFIG
from vaekit.common.errors import DataError
from vaekit.common.files import refuse_existing, write_atomically
from vaekit.core import VAE
from vaekit.model import FittedVAE
from vaekit.store import load_checkpoint, read_history, save
from vaekit.train import Epoch, JsonLines, Plan
from vaekit.train.history import as_lines
from vaekit.train.resume.checkpoint import Checkpoints
from vaekit.train.resume.keeper import Keeping

MODEL, CHECKPOINTS, HISTORY, METRICS, REPORT, SCHEMA = (
    "model",
    "checkpoints",
    "history.jsonl",
    "metrics.json",
    "report.html",
    "schema.toml",
)


class RunDirectory:
    """A directory that a run fills as it goes; `metrics.json`, written last, marks it as finished.

    As an observer of the run it appears when the first step is about to be taken, keeps one line of history for each
    epoch that ended well, and vanishes if there was none and nothing is kept.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], *, force: bool, resume: bool = False) -> None:
        if not resume:
            refuse_existing(path, force=force)
        self.path, self.config, self.resume = path, config, resume
        self.history = JsonLines(path / HISTORY)

    def keeping(self, minutes: float) -> Keeping:
        """Where and how often the run is kept."""
        return Keeping(self.path / CHECKPOINTS, minutes, force=True)

    @property
    def is_kept(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return bool(Checkpoints(self.path / CHECKPOINTS).found())

    def begin(self, plan: Plan) -> None:
        """Make the directory, with the settings of the run in it, and its history as far as it has come."""
        try:
            if not self.resume:
                _clear(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror}; choose another place") from error
        write_atomically(self.path / CONFIG, tomli_w.dumps(dict(self.config)))
        write_atomically(self.path / HISTORY, as_lines(plan.done))

    def batch(self, examples: int) -> None:
        """Nothing is kept of a batch."""

    def epoch(self, epoch: Epoch, model: VAE) -> None:
        """Keep the epoch's line; where there is no room for it, it comes when the run finishes."""
        try:
            self.history.epoch(epoch, model)
        except OSError as error:
            warnings.warn(f"cannot write {self.history.path}: {error.strerror}; the run goes on", stacklevel=2)

    def end(self) -> None:
        """Vanish if no epoch ended well, and nothing was kept."""
        if not self.is_kept and not read_history(self.path / HISTORY):
            shutil.rmtree(self.path, ignore_errors=True)

    def finish(self, fitted: FittedVAE, metrics: Mapping[str, Any], report: str) -> None:
        """Write the model, the report and last the numbers; checkpoints are no longer needed."""
        save(fitted.model, fitted.about, self.path / MODEL, force=True, metrics=metrics)
        write_atomically(self.path / REPORT, report)
        if fitted.about.schema is not None:
            write_atomically(self.path / SCHEMA, fitted.about.schema.to_toml())
        write_atomically(self.path / HISTORY, as_lines(fitted.history))
        write_atomically(self.path / METRICS, json.dumps(metrics, indent=2) + "\n")
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)


def is_finished(path: Path) -> bool:
    """Whether the run in this directory has come to its end."""
    return (path / METRICS).is_file()


def _clear(path: Path) -> None:
    """Remove what an earlier run left, and nothing else; the mark that it has finished goes first."""
    for name in (METRICS, REPORT, HISTORY, CONFIG, SCHEMA):
        (path / name).unlink(missing_ok=True)
    for name in (MODEL, CHECKPOINTS):
        shutil.rmtree(path / name, ignore_errors=True)


def open_model(directory: Path, device: str = "auto") -> FittedVAE:
    """The model of a run, or of a model directory.

    Of a run that has not finished it is the best so far, or where nothing is held out the latest that was kept; a
    warning says so.
    """
    if (directory / MODEL).is_dir():
        return FittedVAE.load(directory / MODEL, device=device)
    if (directory / CHECKPOINTS).is_dir():
        return _unfinished(directory, device)
    return FittedVAE.load(directory, device=device)


def _unfinished(directory: Path, device: str) -> FittedVAE:
    fitted = FittedVAE(*load_checkpoint(directory / CHECKPOINTS, device=device))
    epochs, best = len(fitted.history), fitted.about.training["best_epoch"]
    which = f"the model of epoch {best}, of {epochs} so far" if epochs else "a model from within its first epoch"
    warnings.warn(f"{directory} did not finish: this is {which}", stacklevel=3)
    return fitted


def run_config(directory: Path) -> dict[str, Any]:
    """The settings of a run; empty for a model directory that lies in no run."""
    for place in (directory, directory.parent):
        if (place / CONFIG).is_file():
            return tomllib.loads((place / CONFIG).read_text(encoding="utf-8"))
    return {}
