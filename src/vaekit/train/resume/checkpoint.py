"""Checkpoints on disk: whole or absent, verified when they are read, and free of anything that could run."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from vaekit.common.errors import ModelFileError
from vaekit.common.files import directory_written_atomically
from vaekit.train.resume.packing import Packed, packed, unpacked

FORMAT = "vaekit-checkpoint"
VERSION = 1
RECORD, TENSORS, MANIFEST = "state.json", "tensors.safetensors", "manifest.json"
PATTERN = "epoch-*-batch-*"
LEFTOVERS = (".*.partial-*", ".*.old-*")
"""What a writer that was killed leaves behind, and nobody reads."""


class CheckpointWarning(UserWarning):
    """A checkpoint that could not be written or read, or that cannot promise what it usually does."""


class Damaged(ModelFileError):
    """A checkpoint of which something is missing or not as it was written."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read, and found to be as it was written."""

    path: Path
    state: dict[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run in one directory, of which the last few are kept.

    Each is a directory named by where the run goes on: its epoch, and how many batches of that epoch are done. A state
    is made of mappings, lists, tuples, tensors, numbers and strings; tensors are written as safetensors, all else as
    JSON, and a manifest holds the checksum of both.

    >>> import tempfile, torch
    >>> folder = tempfile.TemporaryDirectory()
    >>> kept = Checkpoints(Path(folder.name) / "checkpoints", last=2)
    >>> for epoch in (2, 3, 4):
    ...     kept.write(epoch, 0, {"weight": torch.full((2,), float(epoch))})
    >>> [path.name for path in kept.found()]
    ['epoch-00003-batch-000000', 'epoch-00004-batch-000000']
    >>> kept.newest().state
    {'weight': tensor([4., 4.])}
    >>> folder.cleanup()
    """

    directory: Path
    last: int = 2

    def found(self) -> list[Path]:
        """Those that are there, the oldest first."""
        return sorted(self.directory.glob(PATTERN))

    def write(self, epoch: int, batch: int, state: object) -> None:
        """Write the state of a run that goes on at this batch of this epoch, then remove the oldest.

        Raises `DataError` where there is no room, and leaves those that are there as they are.
        """
        path = self.directory / f"epoch-{epoch:05}-batch-{batch:06}"
        if path.exists():
            return
        with directory_written_atomically(path) as partial:
            _write(packed(state), partial)
        self._remove(self.found()[: -self.last])

    def newest(self) -> Checkpoint | None:
        """The newest that is whole, or None where none was written; a damaged one is passed over with a warning.

        Raises `ModelFileError` where all are damaged, and for one that a newer vaekit wrote.
        """
        found = self.found()
        for path in reversed(found):
            try:
                return Checkpoint(path, unpacked(_read(path)))
            except Damaged as error:
                warnings.warn(f"{error}; going back to the one before", CheckpointWarning, stacklevel=2)
        if found:
            raise ModelFileError(f"no checkpoint in {self.directory} is whole: begin the run anew")
        return None

    def go_on_from(self, path: Path | None) -> None:
        """Remove those after this one, or all of them, and what interrupted writing has left."""
        self._remove([other for other in self.found() if path is None or other > path])
        for pattern in LEFTOVERS:
            for partial in self.directory.glob(pattern):
                shutil.rmtree(partial, ignore_errors=True)

    def _remove(self, paths: list[Path]) -> None:
        """Remove checkpoints; under another name first, so that none is ever seen in part."""
        for path in paths:
            aside = path.with_name(f".{path.name}.old-removed")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def _write(state: Packed, folder: Path) -> None:
    try:
        save_file(state.tensors, folder / TENSORS, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(None, str(error)) from error
    (folder / RECORD).write_text(json.dumps(state.record), encoding="utf-8")
    checksums = {name: _checksum(folder / name) for name in (TENSORS, RECORD)}
    manifest = {"format": FORMAT, "format_version": VERSION, "sha256": checksums}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path) -> Packed:
    """The state of a checkpoint.

    Raises `Damaged` for one that is not as it was written, `ModelFileError` for one of a newer vaekit.
    """
    for name, checksum in _checksums(folder / MANIFEST).items():
        if not (folder / name).is_file() or _checksum(folder / name) != checksum:
            raise Damaged(f"the checkpoint {folder} is damaged: {name} is not as it was written")
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return Packed(load_file(folder / TENSORS), record)


def _checksums(manifest: Path) -> dict[str, str]:
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        version, checksums = found["format_version"], {name: found["sha256"][name] for name in (RECORD, TENSORS)}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise Damaged(
            f"the checkpoint {manifest.parent} is damaged: {manifest.name} is missing or cut short"
        ) from error
    if version > VERSION:
        raise ModelFileError(f"the checkpoint {manifest.parent} was written by a newer vaekit: upgrade vaekit")
    return checksums
