"""What the tests of single likelihoods share: parameters that give chosen numbers, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor

import vaekit
from vaekit.common.errors import DataError
from vaekit.families.scale import unpositive

DOUBLE = torch.float64


def double(*values: float) -> Tensor:
    """Numbers as parameters or data of one event, (1, 1, D)."""
    return torch.tensor(values, dtype=DOUBLE).reshape(1, 1, -1)


def raw(*values: float) -> Tensor:
    """Parameters that `positive` makes these numbers."""
    return unpositive(double(*values))


def logit(*values: float) -> Tensor:
    """Parameters that a sigmoid makes these numbers."""
    return torch.logit(double(*values))


def each(log_prob_of: torch.distributions.Distribution, values: Tensor) -> Tensor:
    """The log-probability of each of many values of one coordinate."""
    return log_prob_of.log_prob(values.reshape(-1, 1, 1)).flatten()


def assert_is(found: Tensor, expected: np.ndarray, rtol: float = 1e-9, atol: float = 1e-9) -> None:
    torch.testing.assert_close(found.double(), torch.from_numpy(np.asarray(expected)), rtol=rtol, atol=atol)


def assert_refuses(likelihood: str, value: float, fine: float = 1.0) -> None:
    """A model with this likelihood refuses to be trained on a row that holds the value, naming row and value."""
    model, objective = vaekit.build("vae", (3,), latent=2, likelihood=likelihood)
    rows = torch.full((8, 3), fine)
    vaekit.fit(model, objective, rows, max_epochs=1, validation=0, verbose=False)
    rows[5, 1] = value
    with pytest.raises(DataError, match=re.escape(f"row 5 of x holds {value:g}")):
        vaekit.fit(model, objective, rows, max_epochs=1, validation=0, verbose=False)
