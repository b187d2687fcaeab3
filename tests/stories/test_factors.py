"""Factor analysis with a scale for each factor's weights: superfluous factors go out, the rest is as good as exact."""

from __future__ import annotations

import pytest
import torch
from sklearn.decomposition import FactorAnalysis
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import vaekit
from vaekit import VAE, Elbo, Latent, Parametric
from vaekit.core import Global
from vaekit.families import Learned, Normal
from vaekit.objectives import Cosine
from vaekit.priors import Ard, LearnedPrior, standard_normal

ROWS, COLUMNS, TRUE, FACTORS = 400, 10, 3, 6


class Factors(nn.Module):
    def forward(self, z: Tensor, w: Tensor) -> Tensor:
        return torch.einsum("nk,nkd->nd", z, w)


def factor_analysis(rows: int) -> VAE:
    weights = Global(Ard((FACTORS, COLUMNS), shared=(-1,)), LearnedPrior(Normal(), (FACTORS, COLUMNS)), rows=rows)
    with torch.no_grad():
        means, scales = weights.posterior.whole.params.chunk(2, dim=2)
        means.normal_(0.0, 0.5), scales.fill_(-2.0)
    code = Parametric(nn.Linear(COLUMNS, 2 * FACTORS), Normal(), given="x")
    likelihood = Parametric(Factors(), Normal(Learned((COLUMNS,))), given=("z", "w"))
    return VAE(likelihood, w=weights, z=Latent(standard_normal(FACTORS), code))


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    """Rows to learn from, and others."""
    generator = torch.Generator().manual_seed(2)
    weights, variance = torch.randn(TRUE, COLUMNS, generator=generator), 0.3 + torch.rand(COLUMNS, generator=generator)
    codes, noise = (torch.randn(2 * ROWS, size, generator=generator) for size in (TRUE, COLUMNS))
    return (codes @ weights + variance.sqrt() * noise).split(ROWS)


@pytest.fixture(scope="module")
def fitted(data: tuple[Tensor, Tensor]) -> vaekit.FittedVAE:
    torch.manual_seed(0)
    settings = {"max_epochs": 200, "batch_size": ROWS // 2, "validation": 0.0, "clip": 1.0, "verbose": False}
    rate = Cosine(0.05, 0.001, 400)
    return vaekit.fit(factor_analysis(ROWS), Elbo(), data[0], learning_rate=rate, **settings)  # type: ignore[arg-type]


def exact(rows: Tensor, factors: int) -> FactorAnalysis:
    return FactorAnalysis(factors, tol=1e-4, max_iter=2000).fit(rows.double().numpy())


def test_as_many_factors_stay_as_there_are(fitted: vaekit.FittedVAE) -> None:
    scales = fitted.model.parts["w"].prior.whole.scale.flatten().sort().values
    assert (scales[: FACTORS - TRUE] < 0.1).all()
    assert (scales[FACTORS - TRUE :] > 0.4).all()


def test_its_covariance_explains_new_rows_as_well_as_the_right_number_of_factors(
    fitted: vaekit.FittedVAE, data: tuple[Tensor, Tensor]
) -> None:
    weights = fitted.model.parts["w"].posterior({}).mean[0, 0].detach()
    _, noise = fitted.model.likelihood.family.scale(torch.zeros(1, 1, COLUMNS))
    covariance = weights.T @ weights + torch.diag(noise.flatten().detach() ** 2)
    found = MultivariateNormal(torch.zeros(COLUMNS), covariance).log_prob(data[1]).mean()
    scores = {factors: exact(data[0], factors).score(data[1].numpy()) for factors in (TRUE - 1, TRUE)}
    assert abs(found - scores[TRUE]) < 0.05
    assert found > scores[TRUE - 1] + 0.2


def test_the_bound_is_below_the_largest_likelihood(fitted: vaekit.FittedVAE, data: tuple[Tensor, Tensor]) -> None:
    """log p(x) averages the likelihood over weights, so it cannot exceed that of the best weights."""
    bound = fitted.evaluate(data[0]).terms.elbo
    assert bound is not None
    assert bound < exact(data[0], FACTORS).score(data[0].numpy())
    assert bound > exact(data[0], TRUE - 1).score(data[0].numpy())


def test_rows_made_up_are_like_the_data(fitted: vaekit.FittedVAE, data: tuple[Tensor, Tensor]) -> None:
    """What all rows share is drawn from what the data taught of it, not from its prior."""
    made = fitted.sample(20_000, seed=1)
    spread = data[0].std(0)
    off = (made.T.cov() - data[0].T.cov()) / (spread * spread.unsqueeze(1))
    assert off.abs().max() < 0.15
