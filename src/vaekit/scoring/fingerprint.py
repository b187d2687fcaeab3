"""Fingerprints: digests that change when data do, without reading all of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from vaekit.common.errors import DataError
from vaekit.data import Dataset

_BLOCK: Final = 2**14
_BLOCKS: Final = 64
"""A file is digested at so many places; one of up to their size together, as a whole."""


def digest_of_files(path: Path) -> str:
    """A digest of a file, or of every file in a folder: names, sizes, times of writing, and samples of the contents."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(str(file.relative_to(path)).encode())
            digest.update(_sampled(file))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}): mend or replace it") from error
    return digest.hexdigest()


def _sampled(file: Path) -> bytes:
    known = file.stat()
    digest = hashlib.sha256(f"{known.st_size} {known.st_mtime_ns}".encode())
    last = max(known.st_size - _BLOCK, 0)
    with file.open("rb") as content:
        for place in sorted({last * number // (_BLOCKS - 1) for number in range(_BLOCKS)}):
            content.seek(place)
            digest.update(content.read(_BLOCK))
    return digest.digest()


def digest_of_rows(rows: Dataset) -> str:
    """A digest of each value of a data set in memory, its place and its type."""
    digest = hashlib.sha256()
    for values in (rows.x, rows.y):
        if values is not None:
            digest.update(f"{values.dtype} {tuple(values.shape)}".encode())
            digest.update(values.contiguous().numpy().data.cast("B"))
    return digest.hexdigest()
