"""Pages: memory that one step frees is there for the next."""

from __future__ import annotations

import ctypes
import os

MIB = 1 << 20
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's names of what `mallopt` sets."""
SET_BY_THE_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


def keep_freed_pages(block: int = 64, spare: int = 256) -> None:
    """Let glibc keep so many MiB of freed memory, of blocks up to so many MiB, instead of giving each page back.

    A step with many draws frees tensors of tens of MiB, and asks for them again at once; to fault their pages in anew
    takes a quarter of its time. What the environment says of how to allocate stays, and so do other allocators.

    >>> keep_freed_pages()
    """
    if any(name in os.environ for name in SET_BY_THE_USER):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no glibc: macOS, Windows, musl
        return
    mallopt(MMAP_THRESHOLD, block * MIB)
    mallopt(TRIM_THRESHOLD, spare * MIB)
