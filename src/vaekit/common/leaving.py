"""The end of a process."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process; one that is of several ends without taking down the interpreter around it.

    Threads that torch keeps for a group of processes may outlive the interpreter, and then abort what had gone well.
    """
    if "WORLD_SIZE" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
