"""From what a user names to data: a built-in set, or a file or folder of a kind that is known."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Protocol

from vaekit.common.errors import DataError, UsageError
from vaekit.data.arrays import numpy_file
from vaekit.data.builtin import BUILTIN
from vaekit.data.dataset import Splits
from vaekit.data.idx import idx_folder


class Source(Protocol):
    """A kind of file or folder that data can come from."""

    words: str
    """What it is, as in "give {words}"."""

    def claims(self, path: Path) -> bool:
        """Whether `path`, which exists, is of this kind."""
        ...

    def read(self, path: Path) -> Splits:
        """The data at `path`; a `DataError` that names it if it is damaged."""
        ...


class IdxFolder:
    """A folder of IDX files, named as MNIST's are.

    >>> IdxFolder().claims(Path("."))
    True
    """

    words = "a folder of IDX files"

    def claims(self, path: Path) -> bool:
        """Any folder is claimed; `read` says what it lacks."""
        return path.is_dir()

    def read(self, path: Path) -> Splits:
        """See `idx_folder`."""
        return idx_folder(path)


class NumpyFile:
    """A .npy or .npz file.

    >>> NumpyFile().claims(Path("digits.NPZ"))
    True
    """

    words = "a .npy or .npz file"

    def claims(self, path: Path) -> bool:
        """Known by the ending of its name."""
        return path.suffix.lower() in {".npy", ".npz"}

    def read(self, path: Path) -> Splits:
        """See `numpy_file`."""
        return numpy_file(path)


SOURCES: list[Source] = [IdxFolder(), NumpyFile()]
"""The kinds of source, in the order in which they are asked."""


def load_data(source: str | Path) -> Splits:
    """The data that `source` names: a built-in set, a folder of IDX files, a .npy or a .npz file.

    A built-in name has the first claim: a folder called mnist is "./mnist", or a `Path`.
    Raises `UsageError` where nothing goes by that name, `DataError` where what does cannot be read.

    >>> load_data("mnsit")
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: unknown data 'mnsit': did you mean the built-in 'mnist'? ...
    """
    if source in BUILTIN:
        return BUILTIN[str(source)].loader()
    path = Path(source).expanduser()
    if not path.exists():
        raise _nothing_called(str(source))
    return _reader(path).read(path)


def _reader(path: Path) -> Source:
    for source in SOURCES:
        if source.claims(path):
            return source
    raise DataError(f"{path}: no kind of data that vaekit reads; accepted are {_accepted()}")


def _nothing_called(name: str) -> UsageError:
    nearest = difflib.get_close_matches(name, BUILTIN, n=1)
    guess = f"did you mean the built-in {nearest[0]!r}? " if nearest else ""
    return UsageError(f"unknown data {name!r}: {guess}No such file or folder; accepted are {_accepted()}")


def _accepted() -> str:
    return "; ".join([f"a built-in name ({', '.join(BUILTIN)})", *(source.words for source in SOURCES)])
