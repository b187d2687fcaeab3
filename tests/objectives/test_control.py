"""Controllers: they reach their target, and stay there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.linear_gaussian import LinearGaussian
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch
from vaekit.objectives import Capacity, Elbo, Linear, Objective, Step, TargetDistortion, TargetRate, Terms
from vaekit.objectives.control import Multiplier

TRUTH = LinearGaussian(torch.tensor([[1.0, 0.4], [-0.7, 0.9], [0.2, -1.1]]).double(), torch.zeros(3).double(), 0.8)
ROWS = 128


def trained(objective: Objective, steps: int = 500) -> Terms:
    """The mean terms of the last steps, after training by the objective from an encoder that says little."""
    model: VAE = TRUTH.model(TRUTH.inexact.normal("x"))
    objective = objective.double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    found: list[Terms] = []
    for step in range(steps):
        terms = objective(model, Batch(TRUTH.evidence.sample((ROWS,))), Step(torch.tensor(step)))
        optimizer.zero_grad()
        (-terms.value.mean()).backward()
        optimizer.step()
        found.append(terms)
    last = found[-50:]
    return Terms(
        *(torch.stack([pick(terms).detach().mean() for terms in last]) for pick in (value, likelihood)),
        {"z": torch.stack([terms.total_kl.detach().mean() for terms in last])},
    )


def value(terms: Terms) -> Tensor:
    return terms.value


def likelihood(terms: Terms) -> Tensor:
    return terms.log_likelihood


@pytest.mark.parametrize("target", [3.6, 4.2])
def test_geco_reaches_its_distortion(target: float) -> None:
    terms = trained(TargetDistortion(target, speed=0.05))
    assert abs(float(-terms.log_likelihood.mean()) - target) < 0.05
    assert 0.1 < float(terms.total_kl.mean()) < 4


@pytest.mark.parametrize("target", [0.7, 2.5])
def test_a_rate_is_reached_from_either_side(target: float) -> None:
    terms = trained(TargetRate(target, speed=0.05))
    assert abs(float(terms.total_kl.mean()) - target) < 0.05


def test_a_capacity_leads_the_rate() -> None:
    for target in (0.5, 2.0):
        assert abs(float(trained(Capacity(Linear(0.0, target, 300), gamma=50.0)).total_kl.mean()) - target) < 0.05


def test_their_value_is_what_is_written() -> None:
    model, x = TRUTH.model(TRUTH.inexact.normal("x")), TRUTH.evidence.sample((4,))

    def terms(objective: Objective) -> Terms:
        torch.manual_seed(1)
        return objective(model, Batch(x), Step.first())

    plain = terms(Elbo())
    rate, distortion = plain.total_kl, -plain.log_likelihood
    torch.testing.assert_close(terms(TargetDistortion(2.0)).value, -rate - (distortion - 2.0))
    torch.testing.assert_close(terms(TargetRate(2.0)).value, -distortion - (rate - 2.0))
    torch.testing.assert_close(terms(Capacity(2.0, gamma=7.0)).value, -distortion - 7 * (rate.mean() - 2.0).abs())
    for objective in (TargetDistortion(2.0), TargetRate(2.0), Capacity(2.0)):
        torch.testing.assert_close(terms(objective).elbo, plain.elbo)
        assert not objective.is_bound


def test_a_multiplier_learns_only_while_it_trains() -> None:
    multiplier, excess = Multiplier(speed=0.5, memory=0.0), torch.tensor([3.0])
    multiplier.eval()
    assert [float(multiplier(excess, torch.tensor(step))) for step in (0, 1, 2)] == [1.0] * 3
    multiplier.train()
    with torch.no_grad():
        assert [float(multiplier(excess, torch.tensor(step))) for step in (3, 4, 5)] == [1.0] * 3
    found = torch.stack([multiplier(sign * excess, torch.tensor(step)) for step, sign in enumerate((1, 1, -1, -1, 1))])
    torch.testing.assert_close(found.log(), torch.tensor([0.0, 0.5, 1.0, 0.5, 0.0]))


def test_a_multiplier_is_a_part_of_the_objectives_state() -> None:
    one, other = TargetRate(1.0), TargetRate(1.0)
    for step in range(3):
        one.multiplier(torch.tensor([2.0]), torch.tensor(step))
    other.load_state_dict(one.state_dict())
    assert float(other.multiplier.log_value) == float(one.multiplier.log_value) > 0


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: TargetRate(float("nan")), "target of nan"),
        (lambda: TargetRate(1.0, speed=0.0), "speed is 0"),
        (lambda: TargetDistortion(1.0, memory=1.0), "memory is 1"),
        (lambda: Capacity(1.0, gamma=0.0), "gamma is 0"),
    ],
)
def test_wrong_settings_are_refused(build: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build()
