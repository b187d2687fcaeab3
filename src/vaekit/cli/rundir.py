"""Run directories: what a run leaves, and how an unfinished one is told from a finished one."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from vaekit.about import About
from vaekit.common.errors import DataError, ModelFileError
from vaekit.common.files import refuse_existing, write_atomically
from vaekit.core import VAE
from vaekit.model import FittedVAE
from vaekit.store import save
from vaekit.train import Epoch, JsonLines, Plan

CONFIG, MODEL, CHECKPOINT, HISTORY, METRICS, REPORT = (
    "config.toml",
    "model",
    "checkpoint",
    "history.jsonl",
    "metrics.json",
    "report.html",
)


class RunDirectory:
    """A directory that a run fills as it goes; `metrics.json`, written last, marks it as finished.

    As an observer of the run it appears when the first step is about to be taken, keeps one line of history and
    a checkpoint for each epoch that ended well, and vanishes if there never was one.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], about: About, *, force: bool) -> None:
        refuse_existing(path, force=force)
        self.path, self.config, self.about = path, config, about
        self.history = JsonLines(path / HISTORY)

    def begin(self, plan: Plan) -> None:
        """Make the directory, with the settings of the run in it."""
        try:
            _clear(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror}; choose another place") from error
        write_atomically(self.path / CONFIG, tomli_w.dumps(dict(self.config)))

    def batch(self, examples: int) -> None:
        """Nothing is kept of a batch."""

    def epoch(self, epoch: Epoch, model: VAE) -> None:
        """Keep the epoch's line and its weights."""
        self.history.epoch(epoch, model)
        save(model, self.about, self.path / CHECKPOINT, force=True)

    def end(self) -> None:
        """Vanish if no epoch ended well."""
        if not (self.path / CHECKPOINT).exists():
            shutil.rmtree(self.path, ignore_errors=True)

    def finish(self, fitted: FittedVAE, metrics: Mapping[str, Any], report: str) -> None:
        """Write the model, the report and last the numbers; the checkpoint is no longer needed."""
        save(fitted.model, fitted.about, self.path / MODEL, force=True, metrics=metrics)
        write_atomically(self.path / REPORT, report)
        write_atomically(self.path / METRICS, json.dumps(metrics, indent=2) + "\n")
        shutil.rmtree(self.path / CHECKPOINT, ignore_errors=True)

    @property
    def checkpoint(self) -> Path:
        """Where the last good weights are until the run has finished."""
        return self.path / CHECKPOINT


def _clear(path: Path) -> None:
    """Remove what an earlier run left, and nothing else."""
    for name in (METRICS, REPORT, HISTORY, CONFIG):
        (path / name).unlink(missing_ok=True)
    for name in (MODEL, CHECKPOINT):
        shutil.rmtree(path / name, ignore_errors=True)


def open_model(directory: Path, device: str = "auto") -> FittedVAE:
    """The model of a run, or of a model directory.

    Raises `ModelFileError` for a run that has not finished, and says where its last good weights are.
    """
    if (directory / MODEL).is_dir():
        return FittedVAE.load(directory / MODEL, device=device)
    if (directory / CHECKPOINT).is_dir():
        raise ModelFileError(
            f"{directory} is a run that did not finish; its last whole epoch is the model {directory / CHECKPOINT}"
        )
    return FittedVAE.load(directory, device=device)


def run_config(directory: Path) -> dict[str, Any]:
    """The settings of a run; empty for a model directory that lies in no run."""
    for place in (directory, directory.parent):
        if (place / CONFIG).is_file():
            return tomllib.loads((place / CONFIG).read_text(encoding="utf-8"))
    return {}
