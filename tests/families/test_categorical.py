from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Size, Tensor

import vaekit
from families.against import assert_refuses
from vaekit.common.errors import DataError, UsageError
from vaekit.families import Bernoulli, Categorical, LearnedCutpoints, OneHot, Ordinal, PredictedCutpoints, positive
from vaekit.families.categorical import ordinal_log_masses

C, K = 2, 3


def vectors(params: Tensor, levels: int) -> Tensor:
    """Each coordinate's own K parameters, by the law of blocks: the k-th block holds the k-th of every coordinate."""
    size = params.shape[2] // levels
    return torch.stack([params[:, :, k * size : (k + 1) * size] for k in range(levels)], -1)


@pytest.mark.parametrize("rest", [(), (2, 2)])
def test_categorical_is_a_softmax_over_blocks_of_logits(rest: tuple[int, ...]) -> None:
    params = torch.randn(2, 4, K * C, *rest, dtype=torch.float64)
    code = torch.randint(K, (1, 4, C, *rest))
    logits = vectors(params, K)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = torch.stack(
        [-cross_entropy(logits[sample].flatten(0, -2), code.flatten(), reduction="none") for sample in range(2)]
    )
    found = Categorical(K)(params).log_prob(code.double())
    torch.testing.assert_close(found, expected.reshape(2, 4, -1).sum(-1))
    torch.testing.assert_close(Categorical(K)(params).mean, logits.softmax(-1) @ torch.arange(3.0).double())


def test_one_hot_of_a_vector_is_one_category() -> None:
    logits = torch.randn(2, 5, K, dtype=torch.float64)
    code = torch.tensor([0, 2, 1, 1, 2])
    one_hot = torch.nn.functional.one_hot(code, K).double().unsqueeze(0)
    expected = Categorical(K)(logits).log_prob(code.double().reshape(1, 5, 1))
    torch.testing.assert_close(OneHot()(logits).log_prob(one_hot), expected)


def test_one_hot_of_a_map_is_a_category_at_each_place() -> None:
    logits = torch.randn(1, 4, K, 2, 5, dtype=torch.float64)
    code = torch.randint(K, (1, 4, 2, 5))
    one_hot = torch.nn.functional.one_hot(code, K).movedim(-1, 2).double()
    distribution = OneHot(axes=3)(logits)
    expected = Categorical(K)(logits.flatten(3).reshape(1, 4, K * 10)).log_prob(code.flatten(2).double())
    torch.testing.assert_close(distribution.log_prob(one_hot), expected)
    drawn = distribution.expand(Size((20_000, 4))).sample()
    assert OneHot(axes=3).support.check(drawn).all()
    error = 5 * (distribution.variance / len(drawn)).sqrt()
    assert ((drawn.mean(0) - distribution.mean[0]).abs() < error).all()


def test_every_one_hot_vector_is_listed_and_their_masses_sum_to_one() -> None:
    distribution = OneHot()(torch.randn(2, 5, K))
    every = distribution.enumerate_support()
    assert every.shape == (K, 2, 5, K)
    assert distribution.enumerate_support(expand=False).shape == (K, 1, 1, K)
    torch.testing.assert_close(distribution.log_prob(every).exp().sum(0), torch.ones(2, 5))
    with pytest.raises(NotImplementedError, match="too many"):
        OneHot(axes=2)(torch.zeros(1, 1, 2, 2)).enumerate_support()


@pytest.mark.parametrize("x", [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [2.0, -1.0, 0.0]])
def test_what_is_not_one_hot_is_refused_and_has_no_mass(x: list[float]) -> None:
    assert OneHot()(torch.zeros(1, 1, 3)).log_prob(torch.tensor(x)).tolist() == [[-torch.inf]]
    rows = torch.eye(3).repeat(4, 1)
    rows[7] = torch.tensor(x)
    with pytest.raises(DataError, match=r"row 7 of x .*a single 1 among 0s"):
        vaekit.fit(*vaekit.build("vae", (3,), latent=2, likelihood="one_hot"), rows, max_epochs=1, verbose=False)


def naive_ordinal(score: np.ndarray, cutpoints: np.ndarray) -> np.ndarray:
    """Masses (..., K) as differences of the distribution function."""
    below = expit(cutpoints - score[..., None])
    ends = np.zeros((*score.shape, 1))
    return np.diff(np.concatenate([ends, below, 1 + ends], -1))


@pytest.mark.parametrize("event", [(), (C,)])
def test_ordinal_is_a_difference_of_logistic_distribution_functions(event: tuple[int, ...]) -> None:
    cutpoints = LearnedCutpoints(4, event).double()
    with torch.no_grad():
        cutpoints.raw.add_(torch.randn_like(cutpoints.raw))
        first, gaps = cutpoints(torch.zeros(1, 1, C, dtype=torch.float64))
        cuts = torch.cat([first.unsqueeze(-1), first.unsqueeze(-1) + positive(gaps).cumsum(-1)], -1).numpy()
        score = torch.randn(2, 5, C, dtype=torch.float64)
        masses = Ordinal(cutpoints)(score).base_dist.probs  # type: ignore[attr-defined]
    np.testing.assert_allclose(masses.numpy(), naive_ordinal(score.numpy(), cuts), rtol=1e-9)
    assert (np.diff(cuts) > 0).all()


def test_predicted_cutpoints_are_the_first_block_and_the_gaps_of_each_coordinate() -> None:
    params = torch.randn(1, 3, 3 * C, dtype=torch.float64)
    family = Ordinal(PredictedCutpoints(4)).double()
    raw = vectors(params, 3) + family.cutpoints.start
    cuts = torch.cat([raw[..., :1], raw[..., :1] + positive(raw[..., 1:]).cumsum(-1)], -1)
    expected = naive_ordinal(np.zeros((1, 3, C)), cuts.numpy())
    np.testing.assert_allclose(family(params).base_dist.probs.numpy(), expected, rtol=1e-9)  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", [LearnedCutpoints, PredictedCutpoints])
@pytest.mark.parametrize("levels", [2, 3, 10])
def test_all_levels_are_alike_to_begin_with(make: type, levels: int) -> None:
    family = Ordinal(make(levels)).double()
    masses = family(torch.zeros(1, 1, family.width(Size((1,)))).double()).base_dist.probs  # type: ignore[attr-defined]
    torch.testing.assert_close(masses.flatten(), torch.full((levels,), 1 / levels).double(), rtol=1e-5, atol=1e-7)


def test_two_levels_in_order_are_a_bernoulli() -> None:
    score = torch.randn(1, 6, 1, dtype=torch.float64)
    family = Ordinal(LearnedCutpoints(2)).double()
    for x in (0.0, 1.0):
        found = family(score).log_prob(torch.tensor([x]).double())
        torch.testing.assert_close(found, Bernoulli()(score).log_prob(torch.tensor([x]).double()))


def test_a_higher_score_means_a_higher_level() -> None:
    score = torch.linspace(-5, 5, 11).reshape(1, 11, 1)
    assert (Ordinal(LearnedCutpoints(6))(score).mean.flatten().diff() > 0).all()


@pytest.mark.parametrize("score", [-1e4, -60.0, 0.0, 60.0, 1e4])
def test_improbable_levels_keep_their_log_mass_and_their_gradient(score: float) -> None:
    """At a score of 60 the level 1 has a mass of e^-60: differences in float32 would give 0."""
    first = torch.tensor([0.0 - score], requires_grad=True)
    gaps = torch.tensor([[1.0, 1e-6]], requires_grad=True)
    log_masses = ordinal_log_masses(first, gaps)
    assert log_masses.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(log_masses.sum(), (first, gaps)))
    if score == 60.0:
        exact = -60 + np.log(np.e - 1)
        assert float(log_masses.detach()[0, 1]) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("likelihood", ["categorical_10", "ordinal_5_by_decoder"])
@pytest.mark.parametrize("value", [0.5, -1.0, 10.0])
def test_what_is_no_code_is_refused(likelihood: str, value: float) -> None:
    assert_refuses(likelihood, value)


@pytest.mark.parametrize("value", [0.5, -1.0, 3.0, torch.nan])
def test_what_is_no_code_has_no_mass(value: float) -> None:
    for family in (Categorical(3), Ordinal(PredictedCutpoints(3))):
        params = torch.zeros(1, 1, family.width(Size((1,))))
        assert family(params).log_prob(torch.tensor([value])).tolist() == [[-torch.inf]]


def test_too_few_levels_are_refused() -> None:
    for make in (Categorical, LearnedCutpoints, PredictedCutpoints):
        with pytest.raises(UsageError, match=r"1 levels: .* at least 2"):
            make(1)
    with pytest.raises(UsageError, match="at least 1"):
        OneHot(axes=0)
    with pytest.raises(UsageError, match=r"\(3, 4, 4\)"):
        OneHot().width(Size((3, 4, 4)))


def test_the_words_say_how_many_codes() -> None:
    assert str(Categorical(7).density(torch.zeros(1))) == "probability mass of codes 0 to 6, in nats per example"
