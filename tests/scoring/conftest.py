from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scoring.saved import saved_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory; it explains rows of 6 bits."""
    return saved_model(tmp_path_factory.mktemp("models") / "vae", "vae")


@pytest.fixture
def bits() -> np.ndarray:
    """50 rows that it explains."""
    return np.random.default_rng(0).integers(0, 2, (50, 6)).astype(np.float32)
