from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Laplace, MultivariateNormal, kl_divergence
from torch.distributions import Normal as TorchNormal

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Latent, Parametric
from vaekit.families import FullNormal, Known, Normal
from vaekit.objectives import Elbo, Step
from vaekit.priors import Ard, LearnedPrior, laplace


def test_a_learned_prior_is_its_family_at_its_parameters() -> None:
    prior = LearnedPrior(FullNormal(), 3).double()
    with torch.no_grad():
        prior.params.normal_()
    z = torch.randn(4, 2, 3).double()
    expected = FullNormal()(prior.params).log_prob(z)
    assert torch.equal(prior({}).log_prob(z), expected)


def test_a_learned_prior_finds_the_moments_of_codes() -> None:
    codes = torch.randn(1000, 2).double() @ torch.tensor([[2.0, 0.0], [1.0, 0.5]]).double() + 3
    prior = LearnedPrior(FullNormal(), 2).double()
    optimizer = torch.optim.LBFGS(prior.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = -prior({}).log_prob(codes).mean()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    fitted = prior({})
    assert isinstance(fitted, MultivariateNormal)
    torch.testing.assert_close(fitted.mean[0, 0], codes.mean(0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fitted.covariance_matrix[0, 0], codes.T.cov(correction=0), rtol=1e-3, atol=1e-3)


def test_the_kl_from_a_normal_to_the_laplace_prior_is_the_mean_of_its_draws() -> None:
    """What `analytic_kl` takes for this pair, against the definition."""
    posterior = Independent(TorchNormal(torch.tensor([[0.3, -2.0]]).double(), torch.tensor([[0.5, 1.5]]).double()), 1)
    prior = laplace(2).double()({})
    draws = posterior.sample(torch.Size((200_000,)))
    differences = posterior.log_prob(draws) - prior.log_prob(draws)
    error = 5 * differences.std(0) / 200_000**0.5
    assert ((kl_divergence(posterior, prior) - differences.mean(0)).abs() < error).all()


def test_the_laplace_prior_is_torchs() -> None:
    z = torch.randn(3, 4, 2, 2)
    expected = Laplace(0.0, 1.0).log_prob(z).sum((2, 3))
    torch.testing.assert_close(laplace((2, 2))({}).log_prob(z), expected)


def linear_gaussian(latent: int, dimensions: int) -> VAE:
    encoder = Parametric(nn.Linear(dimensions, 2 * latent), Normal(), given="x")
    decoder = Parametric(nn.Linear(latent, dimensions), Normal(Known(0.5)), given="z")
    return VAE(decoder, z=Latent(Ard(latent), encoder))


def test_superfluous_latents_switch_themselves_off() -> None:
    """Data of two factors under five latents: three of them end up telling nothing, and the bound at the evidence."""
    loadings = torch.randn(6, 2) * torch.tensor([2.0, 1.0])
    x = torch.randn(4000, 2) @ loadings.T + 0.5 * torch.randn(4000, 6)
    model, objective = linear_gaussian(5, 6), Elbo()
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1200)
    for _ in range(1200):
        optimizer.zero_grad()
        (-objective(model, Batch(x[torch.randint(4000, (200,))]), Step.first()).value.mean()).backward()
        optimizer.step()
        rates.step()
    terms = model.trace(x).latents["z"]
    assert terms.drawn is not None
    posterior, prior = terms.drawn.distribution.base_dist, terms.prior.base_dist  # type: ignore[attr-defined]
    use = kl_divergence(posterior, prior).mean((0, 1)).sort().values
    assert (use[:3] < 0.2).all(), use
    assert (use[3:] > 1.0).all(), use
    second_moment = (posterior.mean.square() + posterior.variance).mean((0, 1))
    torch.testing.assert_close(prior.variance.flatten(), second_moment, rtol=0.1, atol=0)
    noise = 0.25 * torch.eye(6)
    evidence = MultivariateNormal(torch.zeros(6), loadings @ loadings.T + noise).log_prob(x).mean()
    elbo = objective(model, Batch(x), Step.first()).elbo.mean()
    assert elbo > evidence - 0.1


def test_the_scale_of_ard_is_its_standard_deviation() -> None:
    prior = Ard((2, 3)).double()
    with torch.no_grad():
        prior.raw.normal_()
    torch.testing.assert_close(prior({}).stddev[0, 0], prior.scale)
    assert prior({}).event_shape == (2, 3)


@pytest.mark.parametrize(
    "make", [lambda: LearnedPrior(FullNormal(), (2, 3)), lambda: LearnedPrior(Normal(), ()), lambda: Ard(0)]
)
def test_a_shape_that_does_not_fit_is_refused(make: type[Ard]) -> None:
    with pytest.raises(UsageError, match="shape"):
        make()
