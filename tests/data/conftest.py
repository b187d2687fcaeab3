from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from idx_files import idx_bytes

from vaekit.data import Splits, load_data


@pytest.fixture(scope="session")
def mnist() -> Splits:
    return load_data("mnist")


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A folder of IDX files: four training images of 3 x 2, two test images, all with labels."""
    images = np.arange(36, dtype=np.uint8).reshape(6, 3, 2)
    labels = np.array([4, 0, 3, 1, 9, 7], dtype=np.uint8)
    folder = tmp_path / "digits"
    folder.mkdir()
    for stem, rows in (("train", slice(4)), ("t10k", slice(4, 6))):
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(idx_bytes(images[rows]))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx_bytes(labels[rows]))
    return folder


@pytest.fixture(autouse=True)
def global_generators_untouched() -> Iterator[None]:
    """No part of the data layer leaves a trace in the global generators."""
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1]
    yield
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
