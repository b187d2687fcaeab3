"""The model that a path means, loaded once in a process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from vaekit.core import VAE
from vaekit.model import FittedVAE
from vaekit.store import CONFIG, WEIGHTS

MODEL: Final = "model"
"""Where a run directory has its model."""

Build = Callable[[], VAE]
"""Makes a model that was composed by hand, for its weights to be read into."""

_LOADED: Final = 4
"""Models that a process keeps."""


def model_directory(path: Path) -> Path:
    """The model directory that a path means: itself, or that of the run which it is."""
    return path / MODEL if (path / MODEL).is_dir() else path


def loaded(path: Path, device: str, build: Build | None) -> FittedVAE:
    """The model at a path; it is read again only where its files have changed.

    Raises what `FittedVAE.load` raises.
    """
    directory = model_directory(path)
    return _loaded(directory, device, build, _stamp(directory))


def model_fingerprint(path: Path) -> str:
    """A digest of a model's weights and settings."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        with (model_directory(path) / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@lru_cache(_LOADED)
def _loaded(directory: Path, device: str, build: Build | None, stamp: object) -> FittedVAE:
    return FittedVAE.load(directory, None if build is None else build(), device=device)


def _stamp(directory: Path) -> tuple[tuple[int, int], ...]:
    """What changes when a model directory is written anew."""
    files = [directory / name for name in (CONFIG, WEIGHTS)]
    return tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.is_file())
