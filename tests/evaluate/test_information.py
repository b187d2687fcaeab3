"""Rate, distortion and mutual information, against what they are for linear-Gaussian models."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from core.linear_gaussian import Affine, LinearGaussian, TwoLevels
from core.statistics import SIGMAS
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Latent, Parametric
from vaekit.evaluate import information, rate_distortion
from vaekit.evaluate.inference import Inference
from vaekit.families import Known, Normal
from vaekit.priors import standard_normal
from vaekit.recipes import build

SLOPES, NOISE = torch.tensor([0.8, 0.1]), 0.5


def elementwise(slopes: Tensor = SLOPES, noise: float = NOISE) -> VAE:
    """q(z_d | x_d) = N(slope_d x_d, noise^2), each coordinate of its own."""
    encoder = Parametric(Affine(torch.diag(slopes), torch.zeros(len(slopes))), Normal(Known(noise)), "x")
    decoder = Parametric(nn.Linear(len(slopes), len(slopes)), Normal(Known(1.0)), "z")
    return VAE(decoder, z=Latent(standard_normal(len(slopes)), encoder))


def known_information(slopes: Tensor = SLOPES, noise: float = NOISE) -> Tensor:
    """I(x_d; z_d) = log(1 + slope^2 / noise^2) / 2 for standard normal x."""
    return torch.log1p(slopes.double().square() / noise**2) / 2


def known_marginal_kl(slopes: Tensor = SLOPES, noise: float = NOISE) -> Tensor:
    """KL(N(0, slope^2 + noise^2) || N(0, 1))."""
    variance = slopes.double().square() + noise**2
    return (variance - 1 - variance.log()) / 2


def near(found: float, expected: float, stderr: float) -> bool:
    return abs(found - expected) <= SIGMAS * stderr


def test_mutual_information_and_marginal_kl_are_the_known_ones() -> None:
    found = information(elementwise(), torch.randn(4000, 2), draws=2000)
    mutual, marginal = float(known_information().sum()), float(known_marginal_kl().sum())
    assert 0.005 < found.mutual_information.stderr < 0.05
    assert near(found.mutual_information.value, mutual, found.mutual_information.stderr)
    assert near(found.mutual_information_above.value, mutual, found.mutual_information_above.stderr)
    assert near(found.marginal_kl.value, marginal, found.marginal_kl.stderr)
    assert near(found.rate.value, mutual + marginal, found.rate.stderr)
    assert found.latents["z"].mutual_information == found.mutual_information


def test_each_coordinate_has_its_own() -> None:
    found = information(elementwise(), torch.randn(4000, 2), draws=4000).latents["z"].coordinates
    assert found is not None
    error = SIGMAS * 0.015
    torch.testing.assert_close(found.mutual_information, known_information(), rtol=0, atol=error)
    torch.testing.assert_close(found.marginal_kl, known_marginal_kl(), rtol=0, atol=error)
    torch.testing.assert_close(found.rate, found.mutual_information + found.marginal_kl)


def test_an_encoder_that_ignores_x_tells_nothing() -> None:
    found = information(elementwise(torch.zeros(2), 1.0), torch.randn(300, 2))
    assert found.rate.value == pytest.approx(0, abs=1e-6)
    assert found.mutual_information.value == pytest.approx(0, abs=1e-5)
    assert found.mutual_information_above.value == pytest.approx(0, abs=1e-5)


def test_an_encoder_that_tells_all_reaches_the_ceiling_and_no_further() -> None:
    """Few rows and hardly any noise: each row is told from all others, which is log N nats, and no more can be seen."""
    slopes = torch.ones(5)
    found = information(elementwise(slopes, 1e-3), torch.randn(200, 5))
    assert found.mutual_information.value == pytest.approx(math.log(200), rel=1e-6)
    assert found.mutual_information.value <= found.ceiling + 1e-9
    truth = float(known_information(slopes, 1e-3).sum())
    assert truth > 30
    assert truth < found.mutual_information_above.value <= found.rate.value


def test_of_few_rows_the_estimates_are_bounds() -> None:
    """With 20 rows at a time, the truth lies between the two on average, clear of either."""
    slopes = torch.tensor([1.0, 1.0, 1.0])
    truth = float(known_information(slopes).sum())
    found = [information(elementwise(slopes), torch.randn(20, 3)) for _ in range(150)]
    below = torch.tensor([one.mutual_information.value for one in found])
    above = torch.tensor([one.mutual_information_above.value for one in found])
    assert float(below.mean()) + SIGMAS * float(below.std()) / math.sqrt(150) < truth
    assert float(above.mean()) + SIGMAS * float(above.std()) / math.sqrt(150) > truth


def test_the_estimate_is_that_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and running sums, against the plain formula on the same draws, own row in and own row out."""
    monkeypatch.setattr("vaekit.evaluate.aggregate.ROWS", 7)
    monkeypatch.setattr("vaekit.evaluate.aggregate.PAIRS_AT_ONCE", 50)
    model, x = elementwise(), torch.randn(33, 2)
    z = torch.randn(33, 2)
    monkeypatch.setattr("vaekit.evaluate.aggregate.posterior_draws", lambda model, rows, given: {"z": z})
    torch.manual_seed(5)
    found = information(model, x, draws=33)
    torch.manual_seed(5)
    order = torch.randperm(33)
    log_q = torch.distributions.Normal(x * SLOPES, NOISE).log_prob(z.unsqueeze(1)).sum(-1).double()  # (draw, row)
    own = log_q[torch.arange(33), order]
    expected = own - (log_q.logsumexp(1) - math.log(33))
    assert found.mutual_information.value == pytest.approx(float(expected.mean()), rel=1e-5)
    others = log_q.clone()
    others[torch.arange(33), order] = -math.inf
    above = float((own - (others.logsumexp(1) - math.log(32))).mean())
    assert found.mutual_information_above.value == pytest.approx(min(above, found.rate.value), rel=1e-5)


def test_the_estimate_of_a_hierarchy_is_that_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """All latents of a draw are held against each row, z2 first, then both."""
    truth = TwoLevels.random()
    q, x = truth.top_down(), truth.evidence.sample((20,))
    z2, z1 = torch.randn(20, 2).double(), torch.randn(20, 3).double()
    monkeypatch.setattr("vaekit.evaluate.aggregate.posterior_draws", lambda *_: {"z2": z2, "z1": z1})
    torch.manual_seed(5)
    found = information(truth.exact_top_down(), x, draws=20)
    torch.manual_seed(5)
    order = torch.randperm(20)
    of_z2 = torch.stack([q["z2"].at(x).log_prob(z) for z in z2])  # (draw, row)
    of_z1 = torch.stack(
        [q["z1"].at(torch.cat([x, above.expand(20, 2)], 1)).log_prob(z) for z, above in zip(z1, z2, strict=True)]
    )
    first, both = (
        float((log_q[torch.arange(20), order] - log_q.logsumexp(1)).mean()) + math.log(20)
        for log_q in (of_z2, of_z2 + of_z1)
    )
    assert found.mutual_information.value == pytest.approx(both)
    assert found.latents["z2"].mutual_information.value == pytest.approx(first)
    assert found.latents["z1"].mutual_information.value == pytest.approx(both - first)


def test_a_hierarchy_adds_up_by_the_chain_rule() -> None:
    """I(x; z2) and I(x; z1 | z2), each known from covariances of the exact model."""
    truth = TwoLevels.random()
    model, x = truth.exact_top_down(), truth.evidence.sample((2000,))
    found = information(model, x, draws=1500)
    top = truth.top_down()["z2"]
    of_z2 = 0.5 * float(-top.covariance.logdet())
    prior = truth.upper.s**2 * torch.eye(3).double()
    of_z1 = 0.5 * float(prior.logdet() - truth.top_down()["z1"].covariance.logdet())
    latents = found.latents
    assert list(latents) == ["z2", "z1"]
    assert near(latents["z2"].mutual_information.value, of_z2, latents["z2"].mutual_information.stderr)
    assert latents["z1"].mutual_information.value == pytest.approx(of_z1, abs=0.25)
    total = sum(latent.mutual_information.value for latent in latents.values())
    assert total == pytest.approx(found.mutual_information.value)
    assert latents["z1"].coordinates is None
    assert found.marginal_kl.value == pytest.approx(0, abs=0.3)


def test_rate_and_distortion_are_the_known_ones() -> None:
    truth = LinearGaussian.random()
    model, x = truth.model(truth.inexact.normal("x")), truth.evidence.sample((500,))
    found = rate_distortion(model, x, samples=200)
    rate, elbo = truth.kl(truth.inexact, x), truth.elbo(truth.inexact, x)
    assert found.rate.value == pytest.approx(float(rate.mean()))
    assert found.rate.stderr == pytest.approx(float(rate.std()) / math.sqrt(500))
    assert found.rate_of["z"] == found.rate
    assert -found.negative_elbo == pytest.approx(float(elbo.mean()), abs=0.03)


def test_rate_and_distortion_of_several_latents_add_up_to_the_elbo() -> None:
    truth = TwoLevels.random()
    model, x = truth.exact_top_down(), truth.evidence.sample((1200,))
    found = rate_distortion(model, x)
    assert found.rate.value == pytest.approx(sum(rate.value for rate in found.rate_of.values()))
    exact = truth.evidence.log_prob(x)
    assert -found.negative_elbo == pytest.approx(float(exact.mean()), abs=0.3)


def test_conditions_follow_their_rows() -> None:
    """Each row's own condition is added to its mean: known again, it tells of nothing but x."""
    net = Affine(torch.tensor([[1.0, 1.0]]), torch.zeros(1))
    encoder = Parametric(net, Normal(Known(0.5)), ("x", "c"))
    model = VAE(Parametric(nn.Linear(1, 2), Normal(), "z"), z=Latent(standard_normal(1), encoder))
    x, c = torch.randn(2500, 1), torch.randn(2500, 1)
    found = information(model, x, given={"c": c})
    assert near(found.mutual_information.value, math.log(1 + 2 / 0.25) / 2, found.mutual_information.stderr)
    rates = rate_distortion(model, x, given={"c": c})
    mean, variance = (x + c).double(), 0.25
    exact = 0.5 * (variance + mean.square() - 1 - math.log(variance))
    assert rates.rate.value == pytest.approx(float(exact.mean()), rel=1e-5)


def test_what_reads_x_alone_is_computed_once() -> None:
    model, _ = build("vae", (6,), latent=2)
    calls = []
    model.parts["z"].posterior.params.net.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr]
    inference = Inference(model, torch.rand(3, 6))
    for _ in range(4):
        inference.log_prob({"z": torch.randn(5, 1, 2)})
    assert len(calls) == 1


def test_a_density_asked_for_is_that_of_the_trace() -> None:
    truth = TwoLevels.random()
    model, x = truth.exact_bottom_up(), truth.evidence.sample((5,))
    trace = model.trace(x, samples=3)
    latents = {name: term.value for name, term in trace.latents.items()}
    asked = Inference(model, x).log_prob(latents)
    torch.testing.assert_close(asked, sum(term.log_posterior for term in trace.latents.values()))


def test_too_little_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        information(elementwise(), torch.randn(1, 2))
    with pytest.raises(UsageError, match="at least 1"):
        rate_distortion(elementwise(), torch.randn(3, 2), samples=0)
