"""Counts that share a total: the density sums to one for each total, and draws follow it."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Size, Tensor
from torch.distributions import Multinomial as Reference

from vaekit.common.errors import UsageError
from vaekit.families import Multinomial


def compositions(total: int, kinds: int) -> Tensor:
    rows = [row for row in itertools.product(range(total + 1), repeat=kinds) if sum(row) == total]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("total", [0, 1, 5])
def test_the_mass_of_every_total_is_one(total: int) -> None:
    counts = compositions(total, 4).unsqueeze(1)
    mass = Multinomial()(torch.randn(1, 1, 4, dtype=torch.float64)).log_prob(counts).exp().sum()
    torch.testing.assert_close(mass, torch.ones((), dtype=torch.float64))


def test_the_density_is_torchs_where_that_has_one() -> None:
    logits, counts = torch.randn(1, 1, 7, dtype=torch.float64), compositions(3, 7)
    expected = Reference(3, logits=logits[0, 0]).log_prob(counts)
    torch.testing.assert_close(Multinomial()(logits).log_prob(counts)[0], expected)


def test_rows_of_unlike_totals_have_each_their_own() -> None:
    logits = torch.randn(1, 1, 3, dtype=torch.float64)
    counts = torch.tensor([[2.0, 0, 1], [40, 3, 9], [0, 0, 0]], dtype=torch.float64)
    expected = [Reference(int(row.sum()), logits=logits[0, 0]).log_prob(row) for row in counts[:2]]
    found = Multinomial()(logits).log_prob(counts)[0]
    torch.testing.assert_close(found, torch.stack([*expected, torch.zeros((), dtype=torch.float64)]))


def test_a_kind_that_cannot_be_costs_nothing_where_it_is_not() -> None:
    logits = torch.tensor([[[0.0, -torch.inf]]], requires_grad=True)
    distribution = Multinomial()(logits)
    assert float(distribution.log_prob(torch.tensor([3.0, 0.0])).detach()) == 0
    assert float(distribution.log_prob(torch.tensor([2.0, 1.0])).detach()) == -torch.inf


def test_draws_follow_the_density() -> None:
    distribution = Multinomial(total=20)(torch.randn(1, 3, 5)).expand(Size((20_000, 3)))
    draws = distribution.sample()
    assert draws.shape == (20_000, 3, 5)
    assert (draws.sum(-1) == 20).all()
    error = (distribution.variance[0] / len(draws)).sqrt()
    assert ((draws.mean(0) - distribution.mean[0]).abs() < 5 * error).all()
    torch.testing.assert_close(draws.var(0), distribution.variance[0], rtol=0.06, atol=0)


def test_what_it_is_not_made_for_is_refused() -> None:
    with pytest.raises(UsageError, match="total of 0"):
        Multinomial(total=0)
    with pytest.raises(UsageError, match="are a vector"):
        Multinomial().width(Size((3, 4)))
