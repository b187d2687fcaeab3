"""The aggregate posterior as a prior: what its density is, what it is good for, and who is left out of it."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vaekit.common.errors import UsageError
from vaekit.core import Batch
from vaekit.core.meeting import ROW
from vaekit.evaluate.aggregate import information
from vaekit.priors import AggregatePosterior
from vaekit.priors.normals import DISTANCES_AT_ONCE
from vaekit.recipes import build
from vaekit.uses.score import scores
from vaekit.uses.scores.aggregate import COMPONENTS, aggregated

MANY = 200


def by_torch(means: torch.Tensor, scales: torch.Tensor) -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(torch.ones(len(means))), Independent(Normal(means, scales), 1))


@pytest.fixture
def codes() -> tuple[torch.Tensor, torch.Tensor]:
    """Some far from 0 and narrow."""
    torch.manual_seed(0)
    return 20 + 3 * torch.randn(MANY, 3).double(), torch.rand(MANY, 3).double() / 10 + 1e-3


@pytest.mark.parametrize("at_once", [DISTANCES_AT_ONCE, 10 * 7], ids=["at once", "in parts"])
def test_its_density_is_that_of_the_mixture(
    codes: tuple[torch.Tensor, torch.Tensor], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = codes[0][:10].reshape(2, 5, 3) + 0.05
    monkeypatch.setattr("vaekit.priors.normals.DISTANCES_AT_ONCE", at_once)
    with torch.no_grad():
        found = AggregatePosterior(*codes)({}).log_prob(z)
    torch.testing.assert_close(found, by_torch(*codes).log_prob(z))


def test_a_row_whose_number_is_known_is_left_out(codes: tuple[torch.Tensor, torch.Tensor]) -> None:
    means, scales = codes
    own = torch.tensor([[3, MANY - 2]])
    found = AggregatePosterior(means, scales)({ROW: own}).log_prob(means[own] + 0.5)
    for place, number in enumerate(own[0].tolist()):
        others = torch.arange(len(means)) != number
        expected = by_torch(means[others], scales[others]).log_prob(means[number] + 0.5)
        torch.testing.assert_close(found[0, place], expected)


def test_its_draws_have_the_moments_of_the_mixture(codes: tuple[torch.Tensor, torch.Tensor]) -> None:
    drawn = AggregatePosterior(*codes)({}).expand((1, 40_000)).sample()[0]
    mixture = by_torch(*codes)
    error = mixture.variance.sqrt() / len(drawn) ** 0.5
    assert ((drawn.mean(0) - mixture.mean).abs() < 5 * error).all()
    assert torch.allclose(drawn.var(0), mixture.variance, rtol=0.05)


def test_the_elbo_of_known_rows_rises_by_the_marginal_kl() -> None:
    model = build("vae", (4,), latent=2, likelihood="normal", seed=1).model.double()
    torch.manual_seed(0)
    x = 3 * torch.randn(300, 4).double()
    new = aggregated(model, Batch(x))
    rise = (
        scores(new, Batch(x), 200, encode=torch.Tensor.double).elbo
        - scores(model, Batch(x), 200, encode=torch.Tensor.double).elbo
    )
    expected = information(model, x, draws=300).marginal_kl
    assert expected.value > 0.01
    assert abs(float(rise.mean()) - expected.value) < 5 * expected.stderr


def test_the_score_of_a_known_row_is_that_by_the_others() -> None:
    model = build("vae", (4,), latent=2, likelihood="normal", seed=1).model.double()
    torch.manual_seed(0)
    x = torch.randn(30, 4).double()
    known = scores(aggregated(model, Batch(x)), Batch(x, {ROW: torch.arange(30)}), encode=torch.Tensor.double)
    by_others = scores(aggregated(model, Batch(x[1:])), Batch(x[:1]), encode=torch.Tensor.double)
    torch.testing.assert_close(known.log_evidence[:1], by_others.log_evidence)


def test_of_very_many_rows_some_are_enough_and_stay_who_they_are() -> None:
    model = build("vae", (3,), latent=2, seed=0).model
    x = torch.rand(COMPONENTS + 50, 3)
    prior = aggregated(model, Batch(x)).parts["z"].prior
    assert len(prior.numbers.unique()) == COMPONENTS
    alone = aggregated(model, Batch(x[prior.numbers[:1]])).parts["z"].prior
    torch.testing.assert_close(prior.means[:1], alone.means)


def test_a_posterior_of_another_kind_is_refused() -> None:
    model = build("full_covariance_vae", (6,), latent=2).model
    with pytest.raises(UsageError, match="independent normals"):
        aggregated(model, Batch(torch.rand(5, 6)))
