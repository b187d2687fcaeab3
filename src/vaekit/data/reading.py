"""Reading files so that whatever goes wrong is one line that begins with the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaekit.common.errors import DataError


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Name `path` in every `DataError` and `OSError` of the block, as a `DataError`.

    >>> with blaming(Path("digits.npy")):
    ...     raise DataError("row 3 holds a NaN")
    Traceback (most recent call last):
    vaekit.common.errors.DataError: digits.npy: row 3 holds a NaN
    """
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}): mend or replace it") from error
