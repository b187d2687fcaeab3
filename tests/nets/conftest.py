from __future__ import annotations

from collections.abc import Iterator

import pytest

from vaekit.common.seeds import seeded


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    """Every test sees the same random nets and inputs, whichever run before it."""
    with seeded(0):
        yield
