"""What the uses make of models whose answers are known."""

from __future__ import annotations

import torch

from core.linear_gaussian import LinearGaussian, TwoLevels
from core.statistics import assert_mean, assert_moments
from vaekit.core import Batch
from vaekit.uses.decode import decode
from vaekit.uses.encode import encode, encode_draws
from vaekit.uses.reconstruct import reconstruct
from vaekit.uses.sample import sample, sample_means

N = 20_500
"""More than a chunk, and not a whole number of them."""


def test_samples_have_the_moments_of_the_model() -> None:
    truth = LinearGaussian.random()
    model = truth.model(truth.exact.full_normal("x"))
    drawn, means = sample(model, N), sample_means(model, N)
    assert drawn.shape == means.shape == (N, 4)
    assert not drawn.requires_grad
    assert_moments(drawn, truth.evidence.mean, truth.evidence.covariance_matrix)
    assert_moments(means, truth.b, truth.W @ truth.W.T)


def test_codes_are_the_means_of_the_posterior() -> None:
    truth = LinearGaussian.random()
    x = truth.evidence.sample((2300,))
    torch.testing.assert_close(encode(truth.model(truth.exact.full_normal("x")), Batch(x), "z"), truth.exact.at(x).mean)


def test_drawn_codes_have_the_moments_of_the_posterior() -> None:
    truth = LinearGaussian.random()
    x = truth.evidence.sample((2,))
    draws = encode_draws(truth.model(truth.exact.full_normal("x")), Batch(x), "z", N)
    assert draws.shape == (N, 2, 2)
    for row in range(2):
        assert_moments(draws[:, row], truth.exact.at(x).mean[row], truth.exact.covariance)


def test_decoding_is_the_mean_of_the_likelihood() -> None:
    truth = LinearGaussian.random()
    z = torch.randn(2300, 2).double()
    found = decode(truth.model(truth.exact.full_normal("x")), z, "z")
    torch.testing.assert_close(found, z @ truth.W.T + truth.b)


def test_decoding_an_upper_latent_draws_those_below_it() -> None:
    truth = TwoLevels.random()
    z2 = torch.tensor([[1.0, -1.0]]).double().expand(N, 2)
    found = decode(truth.exact_top_down(), z2, "z2")
    mean = (truth.upper.W @ z2[0] + truth.upper.b) @ truth.lower.W.T + truth.lower.b
    assert_mean(found, mean)
    assert_moments(found, mean, truth.upper.s**2 * truth.lower.W @ truth.lower.W.T)


def test_a_reconstruction_goes_through_the_posterior_means() -> None:
    truth = LinearGaussian.random()
    x = truth.evidence.sample((2300,))
    found = reconstruct(truth.model(truth.exact.full_normal("x")), Batch(x))
    torch.testing.assert_close(found, truth.exact.at(x).mean @ truth.W.T + truth.b)


def test_the_reconstruction_of_a_hierarchy_goes_through_the_means_of_all_its_latents() -> None:
    truth = TwoLevels.random()
    x = truth.evidence.sample((50,))
    exact = truth.top_down()
    z2 = exact["z2"].at(x).mean
    z1 = exact["z1"].at(torch.cat([x, z2], dim=1)).mean
    torch.testing.assert_close(reconstruct(truth.exact_top_down(), Batch(x)), z1 @ truth.lower.W.T + truth.lower.b)
