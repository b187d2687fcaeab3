"""Columns, held against their own densities, torch's distributions, and the law of what is missing."""

from __future__ import annotations

import json
import math

import pytest
import torch
from scipy import stats
from torch import Size, Tensor
from torch import distributions as td

from families.columns.cases import ALL, COUNTS, LEVELS, MIXED, NUMBERS, at_rest, family_of, law_of, rule_of
from families.held_to_account import assert_mean, waves
from vaekit.common.errors import ModelFileError, UsageError
from vaekit.core import Batch
from vaekit.families import Predicted
from vaekit.families.columns import Columns, ColumnsDistribution, Marginal
from vaekit.families.columns.cells import log_normal_mass
from vaekit.uses import alone

each_column = pytest.mark.parametrize("marginal", ALL.values(), ids=ALL)
DRAWS = 20000


def masses(law: ColumnsDistribution, marginal: Marginal) -> tuple[Tensor, Tensor]:
    """Cells of a single column, `(n,)`, and what they add to its total."""
    nodes, weights = rule_of(marginal)
    return nodes, weights * law.log_prob(nodes.reshape(-1, 1, 1)).flatten().exp()


@each_column
@torch.no_grad()
def test_a_column_sums_and_integrates_to_one(marginal: Marginal) -> None:
    torch.manual_seed(0)
    assert float(masses(law_of(marginal), marginal)[1].sum()) == pytest.approx(1, abs=2e-5)


@each_column
@torch.no_grad()
def test_draws_follow_the_density(marginal: Marginal) -> None:
    torch.manual_seed(1)
    law = law_of(marginal)
    nodes, mass = masses(law, marginal)
    drawn = law.expand(Size((DRAWS, 1))).sample()
    assert law.support.check(drawn).all()
    assert_mean(waves(drawn[:, 0]), (mass.unsqueeze(-1) * waves(nodes.unsqueeze(-1))).sum(0), 1e-4)


@pytest.mark.parametrize("marginal", (NUMBERS | COUNTS).values(), ids=NUMBERS | COUNTS)
@torch.no_grad()
def test_mean_and_variance_of_numbers_are_those_of_the_density(marginal: Marginal) -> None:
    torch.manual_seed(2)
    law = law_of(marginal)
    nodes, mass = masses(law, marginal)
    mean = float((mass * nodes).sum())
    rough = 0.02 if marginal in COUNTS.values() else 2e-3
    assert float(law.mean) == pytest.approx(mean, rel=rough, abs=rough)
    if marginal.family != "student_t" and marginal.family != "spiked_counts":
        assert float(law.variance) == pytest.approx(float((mass * (nodes - mean).square()).sum()), rel=0.05)


@pytest.mark.parametrize("marginal", LEVELS.values(), ids=LEVELS)
@torch.no_grad()
def test_of_levels_the_mean_is_the_most_probable_and_of_an_order_the_median(marginal: Marginal) -> None:
    torch.manual_seed(3)
    law = law_of(marginal, batch=20)
    probs = law.log_prob(torch.arange(marginal.levels).double().reshape(-1, 1, 1).expand(-1, 20, 1)).exp()
    assert torch.equal(law.mode.flatten(), probs.argmax(0).double())
    middle = (probs.cumsum(0) < 0.5).sum(0) if marginal.family == "ordinal" else probs.argmax(0)
    assert torch.equal(law.mean.flatten(), middle.double())
    assert law.variance.isnan().all()


def test_a_row_is_the_sum_of_torchs_own_distributions() -> None:
    torch.manual_seed(4)
    marginals = (
        Marginal("normal", shape=(3.0, 2.0)),
        Marginal("categorical", 3, (1 / 3,) * 3),
        Marginal("normal", warp="log", shape=(0.5, 0.7)),
        Marginal("bernoulli", 2, (0.5, 0.5)),
        Marginal("poisson", start=(2.0,)),
        Marginal("categorical", 4, (0.1, 0.2, 0.3, 0.4)),
        Marginal("student_t", start=(3.0,), shape=(1.0, 2.0)),
        Marginal("negative_binomial", start=(2.0, 4.0)),
    )
    family = Columns(marginals).double()
    normals, logs, coins, rates, ts, counts = torch.randn(6, 5, 7, 1, dtype=torch.float64)
    three, four = torch.randn(5, 7, 3).double(), torch.randn(5, 7, 4).double()
    params = torch.cat([normals, three, four, logs, coins, rates, ts, counts], -1)
    x = torch.tensor([1.0, 2.0, 1.5, 1.0, 3.0, 0.0, -2.0, 5.0]).double().expand(7, 8)
    normal, log, coin, rate, t, mean = (each.squeeze(-1) for each in (normals, logs, coins, rates, ts, counts))
    mean = 2 * mean.exp()
    found = family(params).column_log_prob(x)
    expected = [
        td.Normal(3 + 2 * normal, 2.0).log_prob(x[:, 0]),
        td.Categorical(logits=three).log_prob(x[:, 1]),
        td.LogNormal(0.5 + 0.7 * log, 0.7).log_prob(x[:, 2]),
        td.Bernoulli(logits=coin).log_prob(x[:, 3]),
        td.Poisson(2 * rate.exp()).log_prob(x[:, 4]),
        td.Categorical(logits=four + torch.tensor([0.1, 0.2, 0.3, 0.4]).log()).log_prob(x[:, 5]),
        td.StudentT(5.0, 1 + 2 * t, 2.0).log_prob(x[:, 6]),
        td.NegativeBinomial(4.0, probs=mean / (mean + 4)).log_prob(x[:, 7]),
    ]
    torch.testing.assert_close(found, torch.stack(expected, -1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(family(params).log_prob(x), torch.stack(expected, -1).sum(-1), rtol=1e-4, atol=1e-5)


@each_column
def test_where_the_net_says_nothing_a_column_is_its_marginal(marginal: Marginal) -> None:
    law = at_rest(marginal)
    if marginal.levels:
        shares = law.log_prob(torch.arange(marginal.levels).double().reshape(-1, 1, 1)).exp().flatten()
        torch.testing.assert_close(shares, torch.tensor(marginal.start).double(), rtol=1e-4, atol=1e-5)
    elif marginal.family == "normal":
        torch.manual_seed(0)
        assert float(law.expand(Size((1, 4000))).sample().median()) == pytest.approx(float(law.mode), abs=0.2)


@torch.no_grad()
def test_a_hole_is_the_cell_integrated_out() -> None:
    """The sum over all cells of one column of the density of rows is the density of rows with a hole there."""
    torch.manual_seed(5)
    law = law_of(*MIXED)
    row = torch.tensor([1.0, 2.5, 3.0, 1.0, 4.0, 5.0, -1.0]).double()
    for place, marginal in enumerate(MIXED):
        nodes, weights = rule_of(marginal)
        rows = row.repeat(len(nodes), 1, 1)
        rows[:, 0, place] = nodes
        hole = row.clone()
        hole[place] = torch.nan
        total = (law.log_prob(rows).flatten().exp() * weights).sum()
        assert float(total) == pytest.approx(float(law.log_prob(hole).exp()), rel=2e-5)


def test_the_gradient_is_finite_with_holes_and_is_that_of_what_is_observed() -> None:
    torch.manual_seed(6)
    family = family_of(*ALL.values())
    params = torch.randn(2, 5, family.width(), dtype=torch.float64, requires_grad=True)
    x = family(params).sample()[0]
    hidden = torch.rand(x.shape) < 0.5
    holes = x.masked_fill(hidden, torch.nan)
    family(params).log_prob(holes).sum().backward()
    kept = family(params).column_log_prob(x).masked_fill(hidden, 0).sum()
    assert params.grad is not None
    torch.testing.assert_close(params.grad, torch.autograd.grad(kept, params)[0])
    for name, parameter in family.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_a_row_of_holes_says_nothing_and_what_is_outside_the_support_is_refused() -> None:
    family = family_of(*MIXED)
    law = law_of(*MIXED)
    nothing = torch.full((1, len(MIXED)), torch.nan).double()
    assert float(law.log_prob(nothing)) == 0
    assert family.support.check(nothing).all()
    wrong = torch.tensor([[2.0, 0.0, 4.0, 0.0, 5.0, -1.0, 0.0]]).double()
    assert family.support.check(wrong).tolist() == [[False, True, False, True, False, False, True]]
    assert law.column_log_prob(wrong).isinf().tolist() == [[[True, False, True, False, True, True, False]]]


@each_column
@pytest.mark.parametrize("extreme", [-50.0, 50.0])
def test_extreme_parameters_leave_density_and_gradient_finite(marginal: Marginal, extreme: float) -> None:
    family = Columns((marginal,))
    x = torch.tensor([[0.0], [1.0], [7.0], [torch.nan]])
    x = torch.where(family.support.check(x), x, 1.0)
    params = torch.full((1, 1, family.width()), extreme, requires_grad=True)
    log_prob = family(params).log_prob(x)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert params.grad is not None
    assert params.grad.isfinite().all()


def test_the_scale_has_a_floor_so_that_the_density_is_bounded() -> None:
    family = Columns((Marginal("normal", shape=(0.0, 5.0)),))
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.fill_(-1e4)
    highest = float(family(torch.zeros(1, 1, 1)).log_prob(torch.zeros(1)).detach())
    assert highest == pytest.approx(-math.log(5 * 0.01 * math.sqrt(2 * math.pi)), abs=1e-3)


def test_columns_may_stand_in_any_order() -> None:
    torch.manual_seed(7)
    other = [3, 0, 6, 2, 5, 1, 4]
    here, there = Columns(MIXED).double(), Columns([MIXED[at] for at in other]).double()
    x = at_rest(*MIXED).expand(Size((1, 50))).sample()[0]
    params = torch.zeros(1, 50, here.width()).double()
    torch.testing.assert_close(here(params).column_log_prob(x)[..., other], there(params).column_log_prob(x[:, other]))
    torch.testing.assert_close(here(params).mean[..., other], there(params).mean)


def test_features_and_what_is_decided_by_them_undo_each_other() -> None:
    torch.manual_seed(8)
    law = law_of(*ALL.values(), batch=9)
    x = law.sample()
    features = law.features(x)
    assert features.shape == law.expected.shape
    torch.testing.assert_close(law.decided(features), x)
    torch.testing.assert_close(law.decided(law.expected), law.mean)


def test_the_mean_of_features_over_draws_is_what_is_expected() -> None:
    torch.manual_seed(9)
    law = law_of(*LEVELS.values())
    drawn = law.features(law.expand(Size((4000, 1))).sample())[:, 0]
    assert_mean(drawn, law.expected[0, 0], 1e-3)


def test_a_marginal_survives_a_file() -> None:
    for marginal in ALL.values():
        assert Marginal.from_config(json.loads(json.dumps(marginal.to_config()))) == marginal
    with pytest.raises(ModelFileError, match="'colour'"):
        Marginal.from_config({"family": "normal", "colour": 1})


def test_rows_are_explained_at_once_as_one_by_one() -> None:
    """torch's vmap can do densities, draws and means of rows with holes."""
    torch.manual_seed(10)
    family = family_of(*(marginal for name, marginal in ALL.items() if name not in ("poisson", "negative binomial")))
    params = torch.randn(1, 6, family.width(), dtype=torch.float64)
    x = family(params).sample()[0].masked_fill(torch.rand(6, len(family.marginals)) < 0.3, torch.nan)

    def work(one: Batch) -> Tensor:
        law = family(one.given["params"].unsqueeze(0))
        return torch.cat([law.log_prob(one.x.unsqueeze(0)).unsqueeze(-1), law.sample(), law.mean], -1)[0, 0]

    with torch.no_grad():
        together = alone._together(work, Batch(x, {"params": params[0]}), seed=3)
        singly = alone._one_by_one(work, Batch(x, {"params": params[0]}), seed=3)
    torch.testing.assert_close(together, singly)
    torch.testing.assert_close(together[:, 0], family(params).log_prob(x)[0].detach())


def test_ten_thousand_levels_stay_small() -> None:
    family = Columns((Marginal("low_rank_categorical", 10_000, (1e-4,) * 10_000),))
    assert family.width() == 16
    assert sum(parameter.numel() for parameter in family.parameters()) == 17 * 10_000
    assert float(family(torch.zeros(1, 1, 16)).log_prob(torch.tensor([9_999.0])).detach()) == pytest.approx(
        -math.log(1e4), rel=1e-4
    )


def test_narrow_and_wide_cells_have_the_mass_of_the_normal() -> None:
    for low, width in ((0.3, 1e-5), (0.3, 0.029), (0.3, 0.031), (-4.0, 0.5), (9.0, 0.5), (-2.0, 4.0)):
        tail, further = stats.norm.logsf([low, low + width])
        exact = tail + math.log1p(-math.exp(further - tail))
        found = log_normal_mass(*torch.tensor([low, low + width], dtype=torch.float64))
        assert float(found) == pytest.approx(exact, abs=1e-3)


def test_scales_by_the_decoder_double_what_it_says_of_numbers() -> None:
    marginals = (NUMBERS["normal"], NUMBERS["skewed"], LEVELS["binary"])
    assert Columns(marginals, scale=lambda event: Predicted()).width() == Columns(marginals).width() + 2


def test_weights_count_columns_and_make_no_likelihood() -> None:
    family = Columns(MIXED[:2], weights=(2.0, 0.0))
    params, x = torch.zeros(1, 1, family.width()), torch.tensor([[1.0, 2.0]])
    torch.testing.assert_close(family(params).log_prob(x), 2 * Columns(MIXED[:1])(params[..., :1]).log_prob(x[:, :1]))
    assert not family.density(x).is_likelihood
    assert Columns(MIXED).density(x).is_likelihood
    with pytest.raises(UsageError, match="3 weights for 2 columns"):
        Columns(MIXED[:2], weights=(1.0, 1.0, 1.0))


def test_a_table_without_columns_is_refused_and_rows_of_another_width_too() -> None:
    with pytest.raises(UsageError, match="without a column"):
        Columns(())
    with pytest.raises(UsageError, match=r"7 columns cannot explain rows of shape \(3,\)"):
        Columns(MIXED).width(Size((3,)))
