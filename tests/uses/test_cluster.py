"""Cluster: the exact responsibilities of a mixture, and how many clusters there are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from vaekit.common.errors import DataError, UsageError
from vaekit.core import VAE, Batch, Latent, Parametric
from vaekit.families import Known, OneHot
from vaekit.families import Normal as NormalFamily
from vaekit.priors import LearnedMixture, classes, standard_normal
from vaekit.recipes import build
from vaekit.uses.cluster import OfTheCodes, cluster, clusterer, likely_number, start_clusters

CENTRES = torch.tensor([[0.0, 4.0], [4.0, 0.0], [-4.0, -4.0]])


def blobs(n: int = 100) -> tuple[Tensor, Tensor]:
    """Rows about three centres, and whose they are."""
    truth = torch.arange(3).repeat_interleave(n)
    return CENTRES[truth] + torch.randn(3 * n, 2, generator=torch.Generator().manual_seed(0)), truth


def exact(x: Tensor) -> Tensor:
    """The responsibilities of normals of variance 1 about the centres, equally likely."""
    return Normal(CENTRES, 1.0).log_prob(x.unsqueeze(1)).sum(-1).softmax(1)


def decoder(inputs: int, given: str) -> Parametric:
    return Parametric(nn.Linear(inputs, 2), NormalFamily(Known(1.0)), given)


def mixture_of_rows() -> VAE:
    """Clusters c about the centres, and their exact posterior, which is linear in x before the softmax."""
    tell = nn.Linear(2, 3)
    with torch.no_grad():
        tell.weight.copy_(CENTRES)
        tell.bias.copy_(-CENTRES.square().sum(1) / 2)
    return VAE(decoder(3, "c"), c=Latent(classes(3), Parametric(tell, OneHot(), "x")))


def codes_that_are_rows(prior: LearnedMixture | None = None) -> VAE:
    """z is x, nearly."""
    encoder = Parametric(nn.Identity(), NormalFamily(Known(1e-4)), "x")
    return VAE(decoder(2, "z"), z=Latent(standard_normal(2) if prior is None else prior, encoder))


def prior_at_the_centres() -> LearnedMixture:
    prior = LearnedMixture(2, 3, NormalFamily(Known(1.0)))
    with torch.no_grad():
        prior.params.copy_(CENTRES)
    return prior


def test_a_discrete_latent_gives_the_exact_responsibilities_of_a_mixture() -> None:
    x = 3 * torch.randn(50, 2)
    found = cluster(mixture_of_rows(), Batch(x))
    torch.testing.assert_close(found.probabilities, exact(x), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.weights, exact(x).mean(0), rtol=0, atol=1e-5)


def test_a_mixture_prior_gives_its_exact_responsibilities_of_the_codes() -> None:
    x = 3 * torch.randn(50, 2)
    found = cluster(codes_that_are_rows(prior_at_the_centres()), Batch(x))
    torch.testing.assert_close(found.probabilities, exact(x), rtol=0, atol=1e-3)
    torch.testing.assert_close(found.weights, torch.full((3,), 1 / 3))


def test_the_responsibilities_are_averaged_over_the_codes() -> None:
    """A code that is N(0, 1) between two clusters is in each by half, row by row the same whatever stands beside it."""
    prior = LearnedMixture(1, 2, NormalFamily(Known(1.0)))
    with torch.no_grad():
        prior.params.copy_(torch.tensor([[-2.0], [2.0]]))
    encoder = Parametric(nn.Identity(), NormalFamily(Known(1.0)), "x")
    model = VAE(Parametric(nn.Linear(1, 1), NormalFamily(Known(1.0)), "z"), z=Latent(prior, encoder))
    x = torch.linspace(-3, 3, 30).unsqueeze(1)
    found = torch.stack([clusterer(model, Batch(x), seed=seed)(Batch(x)).probabilities for seed in range(40)])
    z = x.unsqueeze(0) + torch.linspace(-8, 8, 4001).reshape(-1, 1, 1)
    weight = Normal(0.0, 1.0).log_prob(z - x).softmax(0)
    truth = (weight * torch.sigmoid(4 * z)).sum(0).squeeze(1)
    assert ((found[..., 1].mean(0) - truth).abs() <= 6 * found[..., 1].std(0) / 40**0.5 + 1e-4).all()
    torch.testing.assert_close(cluster(model, Batch(x[7:9])).probabilities, found[0][7:9])


def test_a_mixture_of_codes_picks_its_own_number() -> None:
    x, truth = blobs()
    found = cluster(codes_that_are_rows(), Batch(x), most=15)
    assert found.count == 3
    assert found.probabilities.shape == (300, 3)
    agree = exact(x).argmax(1)
    for label in range(3):
        assert len(set(found.labels[(agree == label) & (exact(x).max(1).values > 0.999)].tolist())) == 1
    torch.testing.assert_close(found.weights, torch.full((3,), 1 / 3), rtol=0, atol=0.03)
    assert int(found.sizes.sum()) == len(truth)


def test_it_tells_of_rows_it_was_not_fitted_to() -> None:
    x, _ = blobs()
    clusters = clusterer(codes_that_are_rows(), Batch(x), most=15)
    assert isinstance(clusters, OfTheCodes)
    torch.testing.assert_close(clusters(Batch(x[:10])).probabilities, clusters(Batch(x)).probabilities[:10])


def test_three_clusters_in_few_rows_of_many_coordinates_are_three() -> None:
    """A variational mixture that starts with 30 components keeps nearly all of them here."""
    generator = np.random.default_rng(0)
    middles = 4 * generator.normal(size=(3, 7))
    codes = np.concatenate([middle + generator.normal(size=(60, 7)) for middle in middles])
    assert likely_number(codes, most=30) == 3
    assert likely_number(codes, most=2) == 2
    assert likely_number(generator.normal(size=(200, 7)), most=30) == 1


def test_one_can_ask_for_a_mixture_of_codes_of_a_model_with_clusters() -> None:
    x, _ = blobs()
    assert isinstance(clusterer(codes_that_are_rows(prior_at_the_centres()), Batch(x), codes=True), OfTheCodes)


def test_the_clusters_of_a_prior_start_where_the_codes_are() -> None:
    x, _ = blobs(200)
    model = codes_that_are_rows(LearnedMixture(2, 3))
    start_clusters(model, Batch(x))
    with torch.no_grad():
        prior = model.parts["z"].prior({})  # type: ignore[union-attr,operator]
    nearest = torch.cdist(CENTRES, prior.each.mean[0]).min(1)
    assert sorted(nearest.indices.tolist()) == [0, 1, 2]
    assert float(nearest.values.max()) < 6 / 200**0.5
    torch.testing.assert_close(prior.each.stddev[0], torch.ones(3, 2), rtol=0, atol=0.25)
    torch.testing.assert_close(prior.log_weights.exp().detach(), torch.full((3,), 1 / 3), rtol=0, atol=0.02)


def test_what_cannot_be_clustered_is_refused() -> None:
    model = codes_that_are_rows()
    with pytest.raises(UsageError, match="at most 0 clusters"):
        cluster(model, Batch(torch.rand(5, 2)), most=0)
    with pytest.raises(DataError, match="1 rows"):
        cluster(model, Batch(torch.rand(1, 2)))
    with pytest.raises(UsageError, match="no latent 'w', but 'z'"):
        cluster(model, Batch(torch.rand(5, 2)), latent="w")
    with pytest.raises(UsageError, match="no mixture of independent normals"):
        start_clusters(build("vae", (6,), latent=2).model, Batch(torch.rand(5, 6)))
