"""What is missing is left out, of every family of separate cells; others are refused."""

from __future__ import annotations

import pytest
import torch
from torch import Size, Tensor
from torch.distributions import Independent

from families.test_families import awake, params_for, refusal_of
from vaekit.common.errors import UsageError
from vaekit.families import LIKELIHOODS, Bernoulli, Categorical, Normal
from vaekit.families.missing import Observed, cells_of, filled
from vaekit.families.registry import FamilyFor
from vaekit.nets.holes import HolesSeen

EVENTS = [Size((6,)), Size((3, 2, 2))]


def separate(make: FamilyFor, event: Size) -> bool:
    family = awake(make, event)
    if refusal_of(family, event) is not None:
        return False
    return isinstance(family(params_for(family, event)), Independent)


def test_most_likelihoods_are_of_separate_cells() -> None:
    apart = {name for name, make in LIKELIHOODS.items() if not separate(make, Size((3, 2, 2)))}
    assert {"one_hot", "dequantised_logit_normal"} <= apart
    assert len(apart) < 5
    for name in apart:
        with pytest.raises(UsageError, match=r"hang together|cannot explain"):
            Observed(LIKELIHOODS[name](Size((3, 2, 2)))).width(Size((3, 2, 2)))


@pytest.mark.parametrize("event", EVENTS, ids=str)
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_likelihood_of_what_is_observed_is_that_of_its_cells(name: str, event: Size) -> None:
    """Whatever stood in a hole before, and with a finite gradient."""
    if not separate(LIKELIHOODS[name], event):
        pytest.skip("its coordinates hang together")
    family = awake(LIKELIHOODS[name], event)
    params = params_for(family, event, samples=2).requires_grad_()
    whole = family(params)
    x = whole.sample()[:1]
    missing = torch.rand(x.shape) < 0.5
    holed = x.masked_fill(missing, torch.nan)
    said = Observed(family)(params)
    by_cell = whole.base_dist.log_prob(x)
    torch.testing.assert_close(said.log_prob(holed), by_cell.masked_fill(missing, 0).flatten(2).sum(-1))
    torch.testing.assert_close(said.log_prob(x), whole.log_prob(x))
    (gradient,) = torch.autograd.grad(said.log_prob(holed).sum(), params)
    assert gradient.isfinite().all()
    assert Observed(family).support.check(holed).all()
    assert not family.support.check(torch.full(event, torch.nan)).all()


def test_what_is_wrong_is_still_refused() -> None:
    support = Observed(Bernoulli()).support
    assert support.check(torch.tensor([0.0, torch.nan, 2.0])).tolist() == [True, True, False]


def test_the_density_is_that_of_the_cells_observed() -> None:
    assert Observed(Bernoulli()).density(torch.tensor([0.0, torch.nan, 1.0])).is_likelihood
    assert not Observed(Bernoulli()).density(torch.tensor([0.0, torch.nan, 0.5])).is_likelihood


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_features_tell_of_cells(event: Size) -> None:
    """The mean features of draws are those expected, and those of cells decide for these cells again."""
    for family in (Categorical(4), Normal(), Bernoulli()):
        params = torch.randn(1, 2, *family.params_shape(event))
        cells = Observed(family)(params)
        drawn = cells.expand(Size((4000, 2))).sample()
        told: Tensor = cells.features(drawn)
        error = 5 * told.std(0) / 4000**0.5 + 1e-6
        assert ((told.mean(0) - cells.expected[0]).abs() <= error).all()
        assert torch.equal(cells.decided(told), drawn)
        assert cells.levelled().all() == isinstance(family, Categorical)


def test_holes_are_filled_by_draws_and_nothing_else_is() -> None:
    x = torch.randn(1, 5, 4)
    x[0, :, 2] = torch.nan
    found = filled(Normal()(torch.zeros(3, 5, 8)), x)
    assert found.x.shape == (3, 5, 4)
    assert torch.equal(found.x[:, :, [0, 1, 3]], x[:, :, [0, 1, 3]].expand(3, 5, 3))
    assert found.x[:, :, 2].unique().numel() == 15
    assert cells_of(found_cells := Observed(Normal())(torch.zeros(1, 1, 8))) is found_cells


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_a_net_sees_values_beside_what_is_there(event: Size) -> None:
    x = torch.randn(3, *event)
    x[0].view(-1)[1] = torch.nan
    seen = HolesSeen()(x)
    values, there = seen.chunk(2, 1)
    assert torch.equal(there, (~x.isnan()).float())
    assert torch.equal(values, x.nan_to_num(0.0))
