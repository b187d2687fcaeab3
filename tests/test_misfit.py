"""Models composed by hand that rows do not fit: the part at fault is named, and the mend."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import Distribution, Independent, Normal

import vaekit
from vaekit import VAE, Conditional, Elbo, Latent, Parametric
from vaekit.common.errors import DataError, UsageError
from vaekit.core import Context
from vaekit.families import Bernoulli
from vaekit.families import Normal as Gaussian
from vaekit.priors import standard_normal

ROWS = torch.rand(20, 3)


class Around(Conditional):
    """A normal around what a net makes of the code; its coordinates are one event, or are not."""

    given = ("z",)

    def __init__(self, events: int, reads: str = "z") -> None:
        super().__init__()
        self.net, self.events, self.reads = nn.Linear(2, 3), events, reads

    def forward(self, context: Context) -> Distribution:
        law = Normal(self.net(context[self.reads]), 1.0)
        return Independent(law, self.events) if self.events else law


def decoder(width: int = 2, given: str = "z") -> Parametric:
    return Parametric(nn.Linear(width, 3), Bernoulli(), given=given)


def model(likelihood: Conditional, reads: int = 3) -> VAE:
    return VAE(likelihood, z=Latent(standard_normal(2), Parametric(nn.Linear(reads, 4), Gaussian(), given="x")))


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (lambda: model(decoder(width=5)), DataError, "the likelihood fails on them"),
        (lambda: model(decoder(), reads=7), DataError, "the posterior of 'z' fails on them"),
        (lambda: model(Around(1, reads="y")), DataError, "the likelihood fails on them (KeyError: 'y')"),
        (lambda: model(Around(0)), DataError, "torch.distributions.Independent(..., 1)"),
        (lambda: model(decoder(given="zz")), UsageError, "did you mean 'z'?"),
    ],
)
def test_the_part_at_fault_is_named(wrong: object, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        vaekit.fit(wrong(), Elbo(), ROWS, max_epochs=1, verbose=False)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_is_as_it_was_once_it_has_been_looked_at() -> None:
    right = model(Around(1))
    vaekit.fit(right, Elbo(), ROWS, max_epochs=1, verbose=False)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in right.modules())
