from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from vaekit.common.seeds import seeded

# A shell starts what it puts into the background with SIGINT ignored, and tests of interruption would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    """Every test sees the same draws, whichever run before it, and leaves none of its own behind."""
    with seeded(0):
        yield
