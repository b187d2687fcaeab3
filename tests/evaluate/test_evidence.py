"""Importance sampling of log p(x), against a log p(x) that is known."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from core.linear_gaussian import LinearGaussian, TwoLevels
from core.statistics import SIGMAS, assert_mean, stderr
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch
from vaekit.evaluate import Evidence, log_evidence
from vaekit.evaluate.evidence import WeightSums
from vaekit.objectives import Elbo, Step, sampled_kl
from vaekit.recipes import build
from vaekit.train.means import evaluating

ROWS = 4
PLAN = [(1, 20_000), (8, 8000), (64, 2000), (1024, 300)]
"""Draws to an estimate, and estimates."""


class Case:
    """Rows of a linear-Gaussian model with an inexact posterior, and their evidence."""

    def __init__(self) -> None:
        self.truth = LinearGaussian.random()
        self.model: VAE = self.truth.model(self.truth.inexact.normal("x"))
        self.x = self.truth.evidence.sample((ROWS,))
        self.exact = self.truth.evidence.log_prob(self.x)

    def again_and_again(self, times: int, samples: int) -> Tensor:
        """Independent estimates for each row, (times, row)."""
        return log_evidence(self.model, self.x.repeat(times, 1), samples).log_evidence.reshape(times, ROWS)


def evidence_of(*chunks: list[float]) -> Evidence:
    """The evidence of one row from weights by hand, in chunks."""
    sums = WeightSums.nothing(1)
    for chunk in chunks:
        sums.add(torch.tensor(chunk, dtype=torch.float64).log().unsqueeze(1))
    return sums.evidence()


@pytest.mark.parametrize(
    ("weights", "ess"), [([1.0, 1.0, 1.0, 1.0], 4.0), ([5.0, 0.0, 0.0], 1.0), ([1.0, 2.0, 3.0], 36 / 14), ([2.0], 1.0)]
)
def test_the_effective_number_of_draws_is_that_of_the_weights(weights: list[float], ess: float) -> None:
    evidence = evidence_of(weights)
    assert float(evidence.ess) == pytest.approx(ess)
    assert float(evidence.log_evidence) == pytest.approx(math.log(sum(weights) / len(weights)))
    assert evidence.samples == len(weights)


def test_the_error_is_that_of_the_log_of_a_mean() -> None:
    """Delta method: sd(w) / (mean(w) sqrt(K))."""
    weights = [0.5, 2.0, 3.0, 0.1, 1.4]
    expected = np.std(weights, ddof=1) / np.mean(weights) / math.sqrt(len(weights))
    assert float(evidence_of(weights).stderr) == pytest.approx(expected)
    assert float(evidence_of([2.0, 2.0, 2.0]).stderr) == pytest.approx(0, abs=1e-7)
    assert math.isnan(float(evidence_of([2.0]).stderr))


def test_chunks_add_up() -> None:
    whole, parts = evidence_of([0.5, 2.0, 3.0, 0.1]), evidence_of([0.5], [2.0, 3.0], [0.1])
    for name in ("log_evidence", "stderr", "ess"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))
    assert parts.samples == 4


def test_weights_too_small_or_large_for_a_float_are_weighed_all_the_same() -> None:
    sums = WeightSums.nothing(2)
    sums.add(torch.tensor([[-1e5, 1e5], [-1e5 + 1, 1e5 + 1]]))
    expected = math.log((1 + math.e) / 2)
    offset = torch.tensor([1e5, -1e5], dtype=torch.float64)
    torch.testing.assert_close(
        sums.evidence().log_evidence + offset, torch.full((2,), expected).double(), rtol=0, atol=1e-6
    )


def test_it_agrees_with_the_evidence_within_its_own_error() -> None:
    case = Case()
    found = log_evidence(case.model, case.x, 5000)
    assert found.samples == 5000
    assert (found.stderr > 1e-3).all()
    assert ((found.log_evidence - case.exact).abs() <= SIGMAS * found.stderr).all()


def test_it_agrees_with_the_evidence_of_a_hierarchy() -> None:
    truth = TwoLevels.random()
    exact, widened = truth.bottom_up(), 1.3
    wide = {name: type(q)(q.A, q.b, widened * q.L) for name, q in exact.items()}
    model = truth.model(z1=wide["z1"].full_normal("x"), z2=wide["z2"].full_normal("z1"))
    x = truth.evidence.sample((ROWS,))
    found = log_evidence(model, x, 20_000)
    assert (found.stderr < 0.05).all()
    assert ((found.log_evidence - truth.evidence.log_prob(x)).abs() <= SIGMAS * found.stderr).all()


def test_with_the_exact_posterior_one_draw_is_enough() -> None:
    truth = LinearGaussian.random()
    x = truth.evidence.sample((ROWS,))
    found = log_evidence(truth.model(truth.exact.full_normal("x")), x, 7)
    torch.testing.assert_close(found.log_evidence, truth.evidence.log_prob(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(found.ess, torch.full((ROWS,), 7.0).double())
    assert (found.stderr < 1e-6).all()


def test_the_gap_shrinks_to_zero_as_draws_are_added_and_stays_a_gap() -> None:
    """A lower bound in expectation at every K, and tighter at each larger one."""
    case = Case()
    found = [case.again_and_again(times, samples).mean(1) for samples, times in PLAN]
    gaps = [float(case.exact.mean() - estimate.mean()) for estimate in found]
    errors = [float(stderr(estimate)) for estimate in found]
    assert all(gap > -SIGMAS * error for gap, error in zip(gaps, errors, strict=True))
    for (earlier, later), both in zip(pairwise(gaps), pairwise(errors), strict=True):
        assert later < earlier + SIGMAS * math.hypot(*both)
    assert gaps[1] < gaps[0] / 2
    assert gaps[2] < gaps[1] / 2
    assert gaps[3] < 0.01 * gaps[0]


def test_with_one_draw_it_is_the_elbo() -> None:
    case = Case()
    assert_mean(case.again_and_again(20_000, 1), case.truth.elbo(case.truth.inexact, case.x))
    x = case.x.repeat(20_000, 1)
    with torch.no_grad():
        elbo = Elbo(kl=sampled_kl)(case.model, Batch(x), Step.first()).elbo.reshape(-1, ROWS)
    difference = case.again_and_again(20_000, 1).mean(0) - elbo.mean(0)
    assert (difference.abs() <= SIGMAS * math.sqrt(2) * stderr(elbo)).all()


def test_the_reported_error_is_the_spread_between_runs() -> None:
    case = Case()
    found = log_evidence(case.model, case.x.repeat(400, 1), 1000)
    spread = found.log_evidence.reshape(400, ROWS).std(0)
    reported = found.stderr.reshape(400, ROWS).mean(0)
    assert ((spread / reported - 1).abs() < 0.2).all()


def test_the_error_of_the_mean_is_that_of_independent_rows() -> None:
    found = Evidence(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0.3, 0.4, 1.2]), torch.ones(3), 10)
    assert found.mean == pytest.approx(3.0)
    assert found.mean_stderr == pytest.approx(1.3 / 3)
    assert found.rows_stderr == pytest.approx(math.sqrt(7 / 3))


@pytest.mark.parametrize("scalars_at_once", [1, 7, 40, 1000, 2**24])
def test_chunks_change_neither_the_number_of_draws_nor_what_is_found(
    scalars_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, asked = Case(), torch.zeros(ROWS)
    trace = case.model.trace

    def counting(x: Tensor, samples: int, given: dict[str, Tensor]) -> object:
        asked.add_(samples * (x.unsqueeze(1) == case.x).all(-1).sum(0))
        assert x.numel() * samples <= max(scalars_at_once, 4)
        return trace(x, samples, given)

    monkeypatch.setattr(case.model, "trace", counting)
    found = log_evidence(case.model, case.x, 301, scalars_at_once=scalars_at_once)
    assert asked.tolist() == [301.0] * ROWS
    assert found.samples == 301
    assert ((found.log_evidence - case.exact).abs() <= SIGMAS * found.stderr).all()


def test_conditions_follow_their_rows_through_chunks() -> None:
    """Known latents, one for each row, are known exactly: the joint density of each row and its own z."""
    case = Case()
    z = torch.randn(ROWS, 2).double()
    joint = torch.distributions.Normal(z @ case.truth.W.T + case.truth.b, case.truth.s).log_prob(case.x).sum(-1)
    joint = joint + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    found = log_evidence(case.model, case.x, 5, given={"z": z}, scalars_at_once=4)
    torch.testing.assert_close(found.log_evidence, joint, rtol=0, atol=1e-10)


def test_the_model_is_evaluated_as_it_is_used_and_left_as_it_was() -> None:
    """Batch normalisation in training mode would mix rows, and learn from them."""
    model, _ = build("vae", (6,), latent=2, hidden=(8,), normalisation="batch")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    x = torch.rand(5, 6)
    found = log_evidence(model, x, 2000)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with evaluating(model):
        again = log_evidence(model, x, 2000)
    error = (found.stderr.square() + again.stderr.square()).sqrt()
    assert ((found.log_evidence - again.log_evidence).abs() <= SIGMAS * error).all()


@pytest.mark.parametrize("samples", [0, -1])
def test_no_draws_are_refused(samples: int) -> None:
    case = Case()
    with pytest.raises(UsageError, match="at least 1"):
        log_evidence(case.model, case.x, samples)


def test_no_rows_are_refused() -> None:
    case = Case()
    with pytest.raises(UsageError, match="no rows"):
        log_evidence(case.model, case.x[:0], 3)
