"""The names that parts of a model may have."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Latent, Parametric
from vaekit.families import Bernoulli, Gamma, Known, Learned, Normal
from vaekit.priors import standard_normal


def named(name: str) -> VAE:
    encoder, decoder = Parametric(nn.Linear(3, 4), Normal(), "x"), Parametric(nn.Linear(2, 3), Bernoulli(), name)
    parts: Any = {name: Latent(standard_normal(2), encoder)}
    return VAE(decoder, **parts)


@pytest.mark.parametrize("name", ["x", "keys", "items", "values", "pop", "training", "forward", "a.b", ""])
def test_a_name_that_no_part_can_have_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError, match=r"give (it|this part) another name") as caught:
        named(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["z", "key", "parts", "model", "prior", "sample"])
def test_other_names_do(name: str) -> None:
    assert named(name).trace(torch.rand(4, 3)).log_weight.shape == (1, 4)


@pytest.mark.parametrize(
    "make", [lambda: Gamma(Known(0.0)), lambda: Normal(Known(-1.0)), lambda: Gamma(Learned(initial=0))]
)
def test_a_number_that_is_not_positive_is_refused_whatever_family_reads_it(make: Any) -> None:
    with pytest.raises(UsageError, match=r"(Known|Learned)\(.*must be (positive|above)") as caught:
        make()
    assert "normal" not in str(caught.value)
