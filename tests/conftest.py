from __future__ import annotations

from collections.abc import Iterator

import pytest

from vaekit.common.seeds import seeded


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    """Every test sees the same draws, whichever run before it, and leaves none of its own behind."""
    with seeded(0):
        yield
