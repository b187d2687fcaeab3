"""Who tells of an error where several processes run as one: the one that met it first, and once."""

from __future__ import annotations

import os

_TOLD = "_told_here"


def leave_telling(error: BaseException, *, here: bool) -> None:
    """Note on an error whether this process is the one to tell of it."""
    setattr(error, _TOLD, here)


def is_told_here(error: BaseException) -> bool:
    """Whether this process is to tell of an error: what was noted on it; else the first rank tells of what all meet.

    >>> error = ValueError("no")
    >>> leave_telling(error, here=False)
    >>> is_told_here(error), is_told_here(ValueError())
    (False, True)
    """
    return bool(getattr(error, _TOLD, os.environ.get("RANK", "0") == "0"))
