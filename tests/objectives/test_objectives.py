"""Every objective of the registry, on a model whose evidence and ELBO are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.linear_gaussian import LinearGaussian
from core.statistics import SIGMAS, assert_mean, stderr
from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch
from vaekit.objectives import OBJECTIVES, Objective, Step, Terms

ROWS, COPIES = 4, 4000
PAIRED = 100
"""Copies at most, where every pair of rows is compared."""
EARLY, LATE = 0, 1_000_000

every_objective = pytest.mark.parametrize("name", OBJECTIVES)


class Case:
    """An objective asked about a linear-Gaussian model with an inexact posterior."""

    def __init__(self, name: str, copies: int) -> None:
        self.objective: Objective = OBJECTIVES[name]().double()
        copies = min(copies, PAIRED) if self.objective.compares_pairs else copies
        self.truth = LinearGaussian.random()
        self.model: VAE = self.truth.model(self.truth.inexact.normal("x"))
        self.rows = self.truth.evidence.sample((ROWS,))
        self.x = self.rows.repeat(copies, 1)
        try:
            self.objective.check(self.model)
        except UsageError as refusal:
            pytest.skip(str(refusal))

    def terms(self, step: int) -> Terms:
        return self.objective(self.model, Batch(self.x), Step(torch.tensor(step)))

    def by_row(self, values: Tensor) -> Tensor:
        """Values of every copy, (copy, row)."""
        return values.detach().reshape(-1, ROWS)


@every_objective
@pytest.mark.parametrize("step", [EARLY, LATE])
def test_its_terms_are_of_each_example(name: str, step: int) -> None:
    case = Case(name, 2)
    terms = case.terms(step)
    for term in (terms.value, terms.elbo, terms.log_likelihood, *terms.kl.values()):
        assert term.shape == (2 * ROWS,)
        assert term.isfinite().all()
    assert set(terms.kl) == {"z"}


@every_objective
def test_the_elbo_that_it_reports_is_the_plain_one(name: str) -> None:
    case = Case(name, COPIES)
    with torch.no_grad():
        terms = case.terms(LATE)
    assert_mean(case.by_row(terms.elbo), case.truth.elbo(case.truth.inexact, case.rows))


@every_objective
@pytest.mark.parametrize("step", [EARLY, LATE])
def test_what_is_called_a_bound_is_below_the_evidence(name: str, step: int) -> None:
    case = Case(name, COPIES)
    if not case.objective.bounds(case.model):
        pytest.skip("it does not say that it is a bound")
    with torch.no_grad():
        values = case.by_row(case.terms(step).value).mean(1)
    assert float(values.mean()) < float(case.truth.evidence.log_prob(case.rows).mean() + SIGMAS * stderr(values))


@every_objective
def test_its_gradient_reaches_every_parameter_of_the_model(name: str) -> None:
    case = Case(name, 50)
    case.terms(LATE).value.mean().backward()
    for parameter_name, parameter in case.model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert (parameter.grad != 0).any(), parameter_name


@every_objective
def test_a_step_along_its_gradient_raises_its_value(name: str) -> None:
    case = Case(name, 500)

    def value() -> Tensor:
        with seeded(1):
            return case.terms(LATE).value.mean()

    before = value()
    before.backward()
    with torch.no_grad():
        for parameter in case.model.parameters():
            assert parameter.grad is not None
            parameter.add_(1e-3 * parameter.grad)
        assert float(value()) > float(before)


@every_objective
def test_the_same_draws_give_the_same_terms_and_the_step_is_left_alone(name: str) -> None:
    case, step = Case(name, 2), Step(torch.tensor(7))
    with seeded(3):
        first = case.objective(case.model, Batch(case.x), step)
    with seeded(3):
        second = case.objective(case.model, Batch(case.x), step)
    assert torch.equal(first.value, second.value)
    assert int(step.count) == 7
