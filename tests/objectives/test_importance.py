"""Importance-weighted bounds, on models whose evidence is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.linear_gaussian import LinearGaussian
from core.statistics import SIGMAS, assert_mean, stderr
from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import Batch
from vaekit.objectives import (
    Blend,
    Ciwae,
    DoublyReparameterised,
    EncoderFollows,
    Iwae,
    Miwae,
    Objective,
    Pathwise,
    Piwae,
    PowerMean,
    Renyi,
    Step,
    StickTheLanding,
    Weighted,
)

TRUTH = LinearGaussian(torch.tensor([[1.0, 0.4], [-0.7, 0.9], [0.2, -1.1]]).double(), torch.zeros(3).double(), 0.8)
X = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.3, -0.4]]).double()


def values(objective: Objective, draws: int) -> Tensor:
    """The objective's value for each row of X, `draws` times: (draw, row)."""
    model = TRUTH.model(TRUTH.inexact.normal("x"))
    with torch.no_grad():
        return objective(model, Batch(X.repeat(draws, 1)), Step.first()).value.reshape(draws, len(X))


def test_it_rises_from_the_elbo_to_the_evidence_and_never_above() -> None:
    log_evidence = TRUTH.evidence.log_prob(X)
    by_samples = {k: values(Iwae(k), 200_000 // k) for k in (1, 2, 8, 64, 2000)}
    assert_mean(by_samples[1], TRUTH.elbo(TRUTH.inexact, X))
    means = torch.stack([value.mean(0) for value in by_samples.values()])
    errors = torch.stack([stderr(value) for value in by_samples.values()])
    assert (means.diff(dim=0) > 0).all()
    assert (means <= log_evidence + SIGMAS * errors).all()
    assert (log_evidence - means[0] > 0.1).all()
    bias = (by_samples[64] - log_evidence).exp()  # exp of the value is unbiased, whatever the number of draws
    assert_mean(bias, torch.ones(2).double())
    assert (means[-1] - log_evidence).abs().max() < 0.01


def test_miwae_in_expectation_is_iwae_of_as_many_draws_and_varies_less() -> None:
    miwae, iwae = values(Miwae(samples=4, groups=8), 10_000), values(Iwae(4), 80_000)
    assert_mean(miwae, iwae.mean(0), slack=float(SIGMAS * stderr(iwae).max()))
    assert (miwae.var(0) < iwae.var(0) / 5).all()


IDENTITIES = {
    "miwae of one group is iwae": (Miwae(samples=6, groups=1), Iwae(6)),
    "miwae of groups of one is the elbo": (Miwae(samples=1, groups=6), Renyi(alpha=1.0, samples=6)),
    "ciwae without the elbo is iwae": (Ciwae(samples=6, share=0.0), Iwae(6)),
    "ciwae of the elbo alone is the elbo": (Ciwae(samples=6, share=1.0), Renyi(alpha=1.0, samples=6)),
    "renyi of order 0 is iwae": (Renyi(alpha=0.0, samples=6), Iwae(6)),
    "piwae has the value of iwae": (Piwae(samples=3, groups=2), Iwae(6)),
}


@pytest.mark.parametrize(("one", "other"), IDENTITIES.values(), ids=IDENTITIES)
def test_identities_hold_draw_by_draw(one: Objective, other: Objective) -> None:
    with seeded(1):
        first = values(one, 50)
    with seeded(1):
        torch.testing.assert_close(first, values(other, 50), rtol=0, atol=1e-12)


def test_ciwae_lies_between_in_proportion() -> None:
    found = []
    for objective in (Ciwae(samples=6, share=0.3), Renyi(1.0, 6), Iwae(6)):
        with seeded(1):
            found.append(values(objective, 50))
    torch.testing.assert_close(found[0], 0.3 * found[1] + 0.7 * found[2], rtol=0, atol=1e-12)


def test_renyi_falls_with_its_order_and_passes_through_the_elbo() -> None:
    found = []
    for alpha in (-1.0, 0.0, 0.5, 1.0 - 1e-7, 1.0, 1.0 + 1e-7, 2.0):
        with seeded(1):
            found.append(values(Renyi(alpha, 5), 40))
    ordered = torch.stack(found)
    assert (ordered.diff(dim=0) <= 1e-12).all()
    torch.testing.assert_close(ordered[3], ordered[4], rtol=0, atol=1e-4)
    torch.testing.assert_close(ordered[5], ordered[4], rtol=0, atol=1e-4)


def test_its_terms_are_the_mean_of_the_same_draws() -> None:
    """Three numbers, kept apart: the value, and the log-likelihood and KL whose difference is the plain ELBO."""
    model = TRUTH.model(TRUTH.inexact.normal("x"))
    with seeded(3):
        terms = Iwae(7)(model, Batch(X), Step.first())
    with seeded(3):
        weights = model.trace(X, 7).log_weight
    torch.testing.assert_close(terms.elbo, weights.mean(0))
    torch.testing.assert_close(terms.value, weights.exp().mean(0).log())


GRADIENTS = {
    "pathwise": Pathwise(),
    "stl": StickTheLanding(),
    "dreg": DoublyReparameterised(),
    "encoder follows": EncoderFollows(PowerMean(6)),
}


@pytest.mark.parametrize("gradient", GRADIENTS.values(), ids=GRADIENTS)
@pytest.mark.parametrize("bound", [PowerMean(6), PowerMean(6, 2), PowerMean(6, power=0.5), PowerMean(6, power=0)])
def test_an_estimator_changes_no_value(gradient: object, bound: PowerMean) -> None:
    model = TRUTH.model(TRUTH.inexact.normal("x"))
    found = []
    for chosen in (Pathwise(), gradient):
        with seeded(2):
            terms = Weighted(bound, chosen)(model, Batch(X), Step.first())  # type: ignore[arg-type]
            found.append(torch.stack([terms.value, terms.log_likelihood, terms.elbo]))
    torch.testing.assert_close(*found, rtol=0, atol=1e-10)


BOUNDS = [PowerMean(6), PowerMean(6, groups=3), *(PowerMean(6, power=power) for power in (0.4, -1.0, 0.0))]


@pytest.mark.parametrize("bound", [*BOUNDS, Blend(0.3, *BOUNDS[3:]), Blend(0.6, PowerMean(6, power=0), PowerMean(6))])
def test_a_bounds_slopes_are_its_derivatives(bound: PowerMean | Blend) -> None:
    log_weight = (3 * torch.randn(6, 4).double()).requires_grad_()
    (slope,) = torch.autograd.grad(bound(log_weight).sum(), log_weight, create_graph=True)
    torch.testing.assert_close(bound.slope(log_weight), slope)
    torch.testing.assert_close(slope.sum(0), torch.ones(4).double())
    second = torch.zeros_like(slope)
    for k, part in enumerate(slope if slope.requires_grad else ()):
        second[k] = torch.autograd.grad(part.sum(), log_weight, retain_graph=True)[0][k]
    torch.testing.assert_close(bound.path_slope(log_weight), slope - second)


def test_log_weights_far_apart_leave_no_nan() -> None:
    """In float32, weights a thousand nats apart: slopes underflow, gradients stay finite."""
    model = TRUTH.model(TRUTH.inexact.normal("x")).float()
    for gradient in GRADIENTS.values():
        model.zero_grad()
        Weighted(PowerMean(6), gradient)(model, Batch(60 * X.float()), Step.first()).value.sum().backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_which_are_bounds() -> None:
    bounds = [Iwae(), Miwae(), Ciwae(), Piwae(), Renyi(0.5), Renyi(3.0), Renyi(1.0)]
    assert all(objective.is_bound for objective in bounds)
    assert not Renyi(-0.5).is_bound


@pytest.mark.parametrize("power", [1e-9, 1e-6, -1e-5, 1e-3, 0.009, -0.009])
@pytest.mark.parametrize("spread", [0.1, 10.0, 500.0])
def test_near_a_power_of_0_a_bound_keeps_its_digits(power: float, spread: float) -> None:
    """In float32 as in float64, and near 0 the mean of the logarithms."""
    log_weight = -90 + spread * torch.randn(48, 5, dtype=torch.float64)
    bound = PowerMean(48, groups=2, power=power)
    of = power * log_weight.unflatten(0, (2, -1))
    exact = ((of.logsumexp(1) - math.log(24)) / power).mean(0)
    tolerance = 1e-3 if abs(power) > 1e-7 else 1e-2  # of what is exact in float64 only
    torch.testing.assert_close(bound(log_weight.float()).double(), exact, rtol=1e-4, atol=tolerance)
    if abs(power * spread) < 1e-4:
        torch.testing.assert_close(bound(log_weight.float()).double(), log_weight.mean(0), rtol=1e-4, atol=1e-2)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "iwae without draws": (lambda: Iwae(0), "0 samples in 1 groups"),
    "miwae without draws": (lambda: Miwae(samples=0, groups=8), "8 groups of 0 samples"),
    "miwae without groups": (lambda: Miwae(samples=8, groups=0), "0 groups of 8 samples"),
    "piwae without draws": (lambda: Piwae(samples=0), "groups of 0 samples"),
    "ciwae without draws": (lambda: Ciwae(samples=0), "0 samples"),
    "ciwae beyond its ends": (lambda: Ciwae(share=1.5), "share of 1.5"),
    "renyi without draws": (lambda: Renyi(samples=0), "0 samples"),
    "renyi of no order": (lambda: Renyi(alpha=float("nan")), "alpha is nan"),
    "unlike blends": (lambda: Blend(0.5, PowerMean(4), PowerMean(5)), "4 and 5 samples"),
    "uneven groups": (lambda: PowerMean(7, groups=2), "7 samples in 2 groups"),
}


@pytest.mark.parametrize(("build", "words"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_refused(build: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build()
