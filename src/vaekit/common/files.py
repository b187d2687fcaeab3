"""Files that are either whole or absent, whatever interrupts their writing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vaekit.common.errors import DataError, UsageError

PARTIAL: Final = ".partial-"
"""In the name of a file that is being written, between its own name and the number of the process."""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    """Make renames within a directory last; where directories cannot be opened, the system sees to it."""
    if os.name == "posix":
        _sync(path)


def _cannot_write(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot write {path}: {error.strerror or error}; free some space or choose another place")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, then rename it: a reader sees the old file or the new one, whole."""
    with file_written_atomically(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def file_written_atomically(path: Path) -> Iterator[Path]:
    """Write a file under the name that is handed out; it takes the place of `path`, whole, when the block ends well."""
    partial = path.with_name(f".{path.name}{PARTIAL}{os.getpid()}")
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def directory_written_atomically(path: Path) -> Iterator[Path]:
    """Fill a directory under a temporary name, then put it in the place of `path`, all of it or nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield partial
        partial.chmod(0o755)
        for file in partial.iterdir():
            _sync(file)
        _sync_directory(partial)
        _swap(partial, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(new: Path, path: Path) -> None:
    """Rename `new` to `path`; an older directory stands aside until the new one is in its place."""
    if not path.exists():
        new.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
    path.rename(aside / "old")
    try:
        new.rename(path)
    except OSError:
        (aside / "old").rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def refuse_existing(path: Path, *, force: bool, whats_there: str = "already exists") -> None:
    """Refuse to write over something unless told to."""
    if path.exists() and not force:
        raise UsageError(f"{path} {whats_there}: choose another place, or pass --force to overwrite it")
