"""Disentanglement on codes for which each measure is known: perfect, random, turned, shared and doubled ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from sklearn.linear_model import Lasso
from sklearn.metrics import mutual_info_score
from torch import Tensor
from torch.nn.functional import one_hot

from vaekit.common.errors import DataError, UsageError
from vaekit.evaluate import (
    FactorTable,
    beta_vae_score,
    dci,
    explicitness,
    factor_vae_score,
    modularity,
    mutual_information_gap,
    separated_attribute_predictability,
)
from vaekit.evaluate.disentangle import Importances, forest, lasso, mutual_information
from vaekit.evaluate.disentangle.importance import _lasso_weights
from vaekit.evaluate.disentangle.information import binned
from vaekit.evaluate.linear import minimised, softmax_regression, standardised_by

ROWS = 6000
Score = Callable[[Tensor, Tensor], float]
TABLES: dict[str, Score] = {
    "mig": lambda codes, factors: mutual_information_gap(codes, factors).value,
    "sap": lambda codes, factors: separated_attribute_predictability(codes, factors).value,
    "disentanglement": lambda codes, factors: dci(codes, factors).disentanglement,
    "completeness": lambda codes, factors: dci(codes, factors).completeness,
}
INTERVENTIONS = {"beta_vae": beta_vae_score, "factor_vae": factor_vae_score}


def factors_of(*levels: int, rows: int = ROWS) -> Tensor:
    """Independent factors, each uniform over its levels, `(rows, factors)`."""
    return torch.stack([torch.randint(count, (rows,)) for count in levels], dim=1)


@pytest.fixture
def factors() -> Tensor:
    return factors_of(3, 6, 32)


def quarter_turned(codes: Tensor) -> Tensor:
    """The first two codes turned by 45 degrees."""
    codes = (codes - codes.mean(0)) / codes.std(0)
    turned = torch.stack([codes[:, 0] + codes[:, 1], codes[:, 0] - codes[:, 1]], dim=1) / math.sqrt(2)
    return torch.cat([turned, codes[:, 2:]], dim=1)


@pytest.mark.parametrize("name", TABLES)
def test_factors_in_any_order_and_on_any_scale_are_perfect_codes(name: str, factors: Tensor) -> None:
    codes = factors[:, [2, 0, 1]].double() * torch.tensor([-3.0, 100.0, 0.01]) + 7
    assert TABLES[name](codes, factors) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", TABLES)
def test_dead_codes_beside_perfect_ones_do_no_harm(name: str, factors: Tensor) -> None:
    codes = torch.cat([factors.double(), torch.zeros(ROWS, 2).double(), torch.randn(ROWS, 1).double()], dim=1)
    assert TABLES[name](codes, factors) > 0.97


@pytest.mark.parametrize("name", ["mig", "sap"])
def test_random_codes_have_no_gap(name: str, factors: Tensor) -> None:
    assert TABLES[name](torch.randn(ROWS, 5), factors) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("name", TABLES)
def test_turned_codes_have_no_gap_and_are_used_alike(name: str) -> None:
    factors = factors_of(30, 30)
    assert TABLES[name](quarter_turned(factors.double()), factors) < 0.05


def test_turned_codes_tell_of_two_factors_alike() -> None:
    factors = factors_of(30, 30)
    assert modularity(quarter_turned(factors.double()), factors).value < 0.25
    assert modularity(factors.double(), factors).value > 0.99


def test_doubled_codes_are_modular_but_not_complete(factors: Tensor) -> None:
    codes = torch.cat([factors, factors], dim=1).double()
    assert mutual_information_gap(codes, factors).value == pytest.approx(0, abs=1e-9)
    assert separated_attribute_predictability(codes, factors).value == pytest.approx(0, abs=1e-9)
    assert modularity(codes, factors).value > 0.99
    found = dci(codes, factors)
    assert found.disentanglement > 0.98
    assert found.completeness == pytest.approx(1 - math.log(2) / math.log(6), abs=0.03)


def test_one_code_that_holds_two_factors_is_complete_but_not_modular() -> None:
    factors = factors_of(4, 4, 9)
    codes = torch.stack([4 * factors[:, 0] + factors[:, 1], factors[:, 2]], dim=1).double()
    found = modularity(codes, factors)
    assert found.of_codes.tolist() == pytest.approx([0.5, 1.0], abs=0.01)  # one other factor of two, as well told
    assert mutual_information_gap(codes, factors).value > 0.99


def test_modularity_leaves_out_codes_that_tell_of_nothing(factors: Tensor) -> None:
    codes = torch.cat([factors.double(), torch.randn(ROWS, 2).double(), torch.ones(ROWS, 1).double()], dim=1)
    found = modularity(codes, factors)
    assert found.of_codes.isnan().tolist() == [False, False, False, True, True, True]
    assert found.value > 0.99
    assert math.isnan(modularity(torch.randn(ROWS, 2), factors).value)


def test_mutual_information_is_that_of_a_noisy_channel() -> None:
    """A bit that is flipped once in ten: log 2 - H(0.1)."""
    bit = torch.randint(2, (200_000, 1))
    received = torch.where(torch.rand(bit.shape) < 0.1, 1 - bit, bit)
    truth = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    assert float(mutual_information(received.double(), bit)) == pytest.approx(truth, abs=0.005)


def test_mutual_information_is_sklearns_less_its_bias(factors: Tensor) -> None:
    code = factors[:, 1] + torch.randn(ROWS)
    found = mutual_information(code.unsqueeze(1), factors[:, [1]], bins=20)
    bins = binned(code, 20).numpy()
    plain = mutual_info_score(bins, factors[:, 1].numpy())
    cells = len(np.unique(bins * 6 + factors[:, 1].numpy()))
    assert float(found) == pytest.approx(plain - (cells - 20 - 6 + 1) / (2 * ROWS), abs=1e-9)


def test_mutual_information_of_what_is_apart_is_zero_on_average() -> None:
    found = torch.tensor([float(mutual_information(torch.randn(300, 1), factors_of(6, rows=300))) for _ in range(100)])
    plain = 19 * 5 / (2 * 300)  # what is taken off
    assert float(found.mean()) < 0.3 * plain


def test_the_gap_cares_for_order_alone(factors: Tensor) -> None:
    codes = quarter_turned(factors.double()) + 0.1 * torch.randn(ROWS, 3)
    plain, bent = (mutual_information_gap(values, factors).value for values in (codes, codes.exp()))
    assert bent == pytest.approx(plain, abs=1e-9)


def test_bins_hold_equal_numbers_or_single_values() -> None:
    assert binned(torch.randn(1000), 10).bincount().tolist() == [100] * 10
    assert binned(torch.tensor([3.0, -1.0, 3.0, 8.0]), 20).tolist() == [1, 0, 1, 2]


def test_a_class_without_an_order_is_told_as_a_class() -> None:
    classes = factors_of(5, 8)
    shuffled = torch.tensor([2, 4, 0, 3, 1])[classes[:, 0]]
    codes = torch.stack([shuffled, classes[:, 1]], dim=1).double()
    ordered = separated_attribute_predictability(codes, classes)
    by_class = separated_attribute_predictability(codes, classes, categorical=[0])
    assert float(ordered.scores[0, 0]) < 0.5
    assert float(by_class.scores[0, 0]) == pytest.approx(1.0)
    assert by_class.value == pytest.approx(1.0, abs=0.03)
    found = dci(codes, classes, categorical=[0], by=forest)
    assert found.disentanglement > 0.97
    assert found.informativeness > 0.97


def test_sap_is_the_squared_correlation() -> None:
    factors = factors_of(10, 10)
    codes = factors.double() + torch.randn(ROWS, 2)
    found = separated_attribute_predictability(codes, factors).scores
    for code in range(2):
        for factor in range(2):
            r = np.corrcoef(codes[:, code], factors[:, factor])[0, 1]
            assert float(found[code, factor]) == pytest.approx(r**2)


def test_explicit_codes_tell_every_value() -> None:
    factors = factors_of(3, 5)
    hot = torch.cat([one_hot(factors[:, 0]), one_hot(factors[:, 1])], dim=1).double()
    assert explicitness(hot, factors).value == pytest.approx(1.0)
    assert explicitness(torch.randn(ROWS, 4), factors).value == pytest.approx(0.5, abs=0.03)


def test_explicitness_is_linear() -> None:
    """Of three values on a line the ends are told and the middle is not."""
    factors = factors_of(3)
    found = explicitness(factors.double(), factors).value
    assert found == pytest.approx((1 + 0.5 + 1) / 3, abs=0.17)
    assert found < 0.9


def test_dci_of_known_importances() -> None:
    """D and C from a matrix by hand: P of codes (1, 0) and (1/4, 3/4), weights 1/3 and 2/3."""
    importance = torch.tensor([[0.75, 0.0], [0.25, 0.75]]).double()
    factors = factors_of(2, 2, rows=10)
    factors[0], factors[1] = torch.tensor([0, 1]), torch.tensor([1, 0])

    def known(*_: object) -> object:
        return Importances(importance, torch.tensor([0.5, 0.7]).double())

    found = dci(torch.randn(10, 2), factors, by=known)  # type: ignore[arg-type]
    columns = torch.tensor([[0.75, 0.0], [0.25, 1.0]]).double()
    torch.testing.assert_close(found.importance, columns)

    def spread(*shares: float) -> float:
        return -sum(share * math.log(share) for share in shares if share) / math.log(2)

    assert found.of_codes.tolist() == pytest.approx([1.0, 1 - spread(0.2, 0.8)])
    assert found.weight_of_codes.tolist() == pytest.approx([0.375, 0.625])
    assert found.disentanglement == pytest.approx(0.375 + 0.625 * (1 - spread(0.2, 0.8)))
    assert found.completeness == pytest.approx((1 - spread(0.75, 0.25) + 1) / 2)
    assert found.informativeness == pytest.approx(0.6)


def test_each_is_in_units_of_its_own_largest_entropy() -> None:
    """Three codes, two factors, all used alike: neither disentangled nor complete, whatever the numbers."""
    factors = factors_of(2, 2, rows=10)
    factors[0], factors[1] = torch.tensor([0, 1]), torch.tensor([1, 0])
    found = dci(
        torch.randn(10, 3), factors, by=lambda *_: Importances(torch.ones(3, 2).double(), torch.ones(2).double())
    )
    assert found.of_codes.tolist() == pytest.approx([0, 0, 0])
    assert found.of_factors.tolist() == pytest.approx([0, 0])


def test_the_lasso_is_that_of_sklearn() -> None:
    x = torch.randn(300, 6).double()
    x[:, 1] += 0.8 * x[:, 0]
    y = x @ torch.randn(6, 2).double() + torch.randn(300, 2).double()
    y[:, 1] = 0.2 * y[:, 1] + x[:, 3]
    for penalty in (0.01, 0.3):
        expected = Lasso(alpha=penalty, fit_intercept=False, tol=1e-10, max_iter=100_000).fit(x.numpy(), y.numpy())
        np.testing.assert_allclose(_lasso_weights(x, y, penalty).T, expected.coef_, atol=1e-5)


@pytest.mark.parametrize("by", [lasso, forest])
def test_informativeness_is_zero_of_noise_and_one_of_all(by: Callable[..., object]) -> None:
    factors = factors_of(10, 10, rows=2000)
    noise, all_of_it = (
        dci(codes, factors, by=by).informativeness  # type: ignore[arg-type]
        for codes in (torch.randn(2000, 3), quarter_turned(factors.double()))
    )
    assert noise == pytest.approx(0, abs=0.02)
    assert all_of_it > 0.95


def test_a_forest_that_knows_no_more_than_the_commonest_value_is_not_informed() -> None:
    """A factor that is 0 in all but a twentieth: always to say 0 is right nineteen times of twenty, and is no skill."""
    rare, even = (torch.rand(1000) < 0.05).long(), (torch.rand(1000) < 0.5).long()
    found = dci(torch.randn(1000, 3), torch.stack([rare, even], 1), categorical=(0, 1), by=forest)
    assert max(found.informativeness_of_factors) < 0.2


def test_a_forest_sees_what_is_not_linear() -> None:
    factors = factors_of(21, 21, rows=3000)
    codes = torch.stack([(factors[:, 0] - 10).abs() * 1.0, factors[:, 1]], dim=1).double()
    codes = torch.cat([codes, (factors[:, [0]] >= 10).double()], dim=1)
    assert dci(codes, factors, by=forest).informativeness > 0.95
    assert dci(codes, factors, by=lasso).informativeness < 0.95


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_interventions_on_perfect_codes_are_told(name: str) -> None:
    factors = torch.cartesian_prod(*(torch.arange(9.0),) * 3)
    table = FactorTable(factors, factors.long(), ("a", "b", "c"))
    found = INTERVENTIONS[name](table, lambda x: x * torch.tensor([1.0, 50.0, 0.1]), votes=300)
    assert found.value == 1
    assert found.chance == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_interventions_on_turned_and_random_codes_are_not(name: str) -> None:
    factors = torch.cartesian_prod(torch.arange(15.0), torch.arange(15.0))
    table = FactorTable(factors, factors.long())
    turn = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    turned = INTERVENTIONS[name](table, lambda x: x @ turn, votes=800)
    noise = INTERVENTIONS[name](table, lambda x: torch.randn(len(x), 4), votes=800)
    for found in (turned, noise):
        assert found.value == pytest.approx(0.5, abs=5 * found.accuracy.stderr)


def test_codes_vote_in_units_of_their_own_deviation() -> None:
    """A slightly noisy code on a large scale varies more, while its factor is fixed, than one on a small scale does."""
    factors = torch.cartesian_prod(torch.arange(9.0), torch.arange(9.0))
    table = FactorTable(factors, factors.long())
    scale = torch.tensor([1.0, 1000.0])
    assert factor_vae_score(table, lambda x: scale * (x + 0.2 * torch.randn(x.shape)), votes=200).value == 1


def test_codes_that_do_not_vary_have_no_vote() -> None:
    factors = torch.cartesian_prod(torch.arange(9.0), torch.arange(9.0))
    table = FactorTable(factors, factors.long())
    found = factor_vae_score(table, lambda x: torch.cat([torch.ones(len(x), 3), x], dim=1), votes=200)
    assert found.value == 1


def test_groups_of_a_table_agree_in_one_factor_alone() -> None:
    factors = factors_of(4, 5, 6, rows=500)
    groups = FactorTable(factors, factors).agreeing(1, groups=200, size=8)
    assert (groups[..., 1] == groups[:, :1, 1]).all()
    assert not (groups[..., 0] == groups[:, :1, 0]).all(1).any()
    share = groups[:, 0, 1].bincount().double() / 200
    torch.testing.assert_close(share, torch.full((5,), 0.2).double(), rtol=0, atol=0.15)


@pytest.mark.parametrize(
    ("codes", "factors", "words"),
    [
        (torch.zeros(3), torch.zeros(3, 1), "codes have shape"),
        (torch.zeros(3, 1), torch.zeros(4, 1), r"\(3, 1\), factors of \(4, 1\)"),
        (torch.tensor([[torch.nan], [1.0]]), [[0], [1]], "finite"),
        (torch.zeros(2, 1), [[0.5], [1]], "whole"),
        (torch.zeros(2, 1), [[0, 1], [0, 2]], "factor 0 has one value"),
    ],
)
def test_what_is_no_representation_is_refused(codes: Tensor, factors: ArrayLike, words: str) -> None:
    with pytest.raises(DataError, match=words):
        mutual_information_gap(codes, factors)


def test_too_few_codes_or_factors_are_refused() -> None:
    one = torch.arange(4).unsqueeze(1)
    with pytest.raises(UsageError, match="at least 2"):
        modularity(one.double(), one)
    with pytest.raises(UsageError, match="1 codes and 1 factors"):
        dci(one.double(), one)
    assert mutual_information_gap(one.double(), one).value == 1  # one code, one factor: nothing else tells of it
    with pytest.raises(DataError, match="to n rows"):
        FactorTable(torch.zeros(3, 2), [[0], [1]])
    with pytest.raises(UsageError, match="votes"):
        factor_vae_score(FactorTable(one, one), lambda x: x.double(), votes=1)


def test_minimisation_finds_the_softmax_regression() -> None:
    x = standardised_by(torch.randn(500, 2).double(), torch.randn(500, 2).double())
    y = (x[:, 0] + 0.3 * torch.randn(500) > 0).long()
    weight = softmax_regression(x, y, 2)
    grown = weight.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(x @ grown, y) + 1e-3 * grown.square().mean()
    (gradient,) = torch.autograd.grad(loss, grown)
    assert gradient.abs().max() < 1e-5
    torch.testing.assert_close(
        minimised(lambda w: (w - 2).pow(4).sum(), torch.zeros(1)), torch.full((1,), 2.0), atol=0.05, rtol=0
    )
