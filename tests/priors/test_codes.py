"""Priors over codes, and the fixed ones over directions, proportions, bits and classes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import Size, Tensor

from core.statistics import assert_mean
from vaekit.families import Bits, Classes, Codebook, Codes, FiniteScalar, ResidualCodebook
from vaekit.families.sphere import log_area
from vaekit.priors import Autoregressive, UniformCodes, bits, classes, dirichlet, sphere_uniform
from vaekit.priors.codes import OverCodes

KINDS: list[tuple[Codes, tuple[int, ...]]] = [
    (Classes(3), (3, 4)),
    (Bits(2), (2, 3)),
    (Codebook(5, 2), (2, 3)),
    (ResidualCodebook(2, 2, 3), (6, 2)),
    (FiniteScalar((3, 2)), (2, 1, 2)),
]
every_kind = pytest.mark.parametrize(("codes", "shape"), KINDS)


def every_event(codes: Codes, shape: tuple[int, ...]) -> Tensor:
    """All events of codes, (n, *shape)."""
    positions = math.prod(shape[1:])
    digits = torch.tensor(list(itertools.product(range(codes.codes), repeat=positions * codes.digits)))
    return codes.vectors(digits.reshape(-1, *shape[1:], codes.digits)).movedim(-1, 1)


def awake(codes: Codes, shape: tuple[int, ...]) -> Autoregressive:
    prior = Autoregressive(codes, shape, width=16, layers=2, heads=2)
    for parameter in prior.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return prior


@every_kind
@pytest.mark.parametrize("kind", [UniformCodes, awake])
def test_the_masses_of_all_events_sum_to_one(kind: type[UniformCodes], codes: Codes, shape: tuple[int, ...]) -> None:
    x = every_event(codes, shape)
    log_prob = kind(codes, shape)({}).log_prob(x.unsqueeze(0)).detach()
    assert log_prob.shape == (1, len(x))
    assert float(log_prob.exp().sum()) == pytest.approx(1.0, abs=1e-5)


@every_kind
@pytest.mark.parametrize("kind", [UniformCodes, awake])
def test_draws_are_as_frequent_as_they_are_probable(
    kind: type[UniformCodes], codes: Codes, shape: tuple[int, ...]
) -> None:
    prior, every, n = kind(codes, shape)({}), every_event(codes, shape), 20_000
    draws = prior.expand(Size((2, n // 2))).sample()
    assert draws.shape == (2, n // 2, *shape)
    assert prior.support.check(draws).all()
    same = (draws.reshape(n, 1, -1) - every.flatten(1)).abs().amax(-1) < 1e-4
    seen = same.sum(0).double()
    assert seen.sum() == n
    with torch.no_grad():
        expected = n * prior.log_prob(every.unsqueeze(0)).exp().flatten().double()
    common = expected > 5
    observed = torch.cat([seen[common], seen[~common].sum()[None]])
    awaited = torch.cat([expected[common], expected[~common].sum()[None]])
    kept = awaited > 1
    chi = ((observed - awaited).square() / awaited)[kept].sum()
    assert stats.chi2.sf(float(chi), int(kept.sum()) - 1) > 1e-6


def test_each_code_is_judged_by_those_before_it_alone() -> None:
    prior = awake(Classes(5), (5, 6))
    tokens = torch.randint(5, (1, 6))
    logits = prior.net(tokens)
    for place in range(6):
        changed = tokens.clone()
        changed[0, place] = (changed[0, place] + 1) % 5
        moved = (prior.net(changed) - logits).abs().sum((0, 2)) > 0
        assert moved.tolist() == [later > place for later in range(6)]


def test_it_learns_what_follows_what() -> None:
    """Sequences that count upwards from a random start have log 4 nats, and not 5 log 4."""
    prior = Autoregressive(Classes(4), (4, 5), width=32, layers=1, heads=2)
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    for _ in range(150):
        start = torch.randint(4, (64, 1))
        x = Classes(4).vectors(((start + torch.arange(5)) % 4).unsqueeze(-1)).movedim(-1, 1)
        loss = -prior({}).log_prob(x.unsqueeze(0)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) == pytest.approx(math.log(4), abs=0.1)


def test_in_parts_it_is_what_it_is_at_once() -> None:
    prior = awake(Bits(2), (2, 3))({})
    x = torch.rand(3, 1000, 2, 3).round()
    at_once = prior.log_prob(x)
    with torch.no_grad():
        in_parts = prior.log_prob(x)
    torch.testing.assert_close(at_once, in_parts, rtol=1e-4, atol=1e-4)
    assert at_once.requires_grad
    assert isinstance(prior, OverCodes)


def test_a_prior_of_codes_does_not_own_them() -> None:
    book = Codebook(5, 2)
    prior = Autoregressive(book, (2, 3), width=16)
    assert prior.codes is book
    assert not [name for name in prior.state_dict() if not name.startswith("net.")]
    assert not UniformCodes(book, (2, 3)).state_dict()


def test_the_uniform_priors_are_uniform() -> None:
    assert float(sphere_uniform(5)({}).log_prob(torch.eye(5)[0])) == pytest.approx(-log_area(5))
    assert float(bits((3, 2))({}).log_prob(torch.ones(1, 1, 3, 2))) == pytest.approx(-6 * math.log(2))
    hot = classes((4, 2))({}).sample()
    assert float(classes((4, 2))({}).log_prob(hot)) == pytest.approx(-2 * math.log(4))
    flat = dirichlet((3, 2))({})
    assert float(flat.log_prob(flat.sample())) == pytest.approx(2 * math.log(2), abs=1e-5)


def test_the_uniform_prior_on_the_sphere_favours_no_direction() -> None:
    draws = sphere_uniform(3).double()({}).sample(Size((50_000,)))
    assert_mean(draws, torch.zeros(3).double())
    outer = (draws.unsqueeze(-1) * draws.unsqueeze(-2)).flatten(1)
    assert_mean(outer, torch.eye(3).double().flatten() / 3)


def test_fixed_priors_move_with_the_model_and_are_not_saved() -> None:
    for prior in (sphere_uniform(3), dirichlet((3, 2)), bits(3), classes(3)):
        assert prior.double()({}).sample().dtype == torch.float64
        assert not [name for name in prior.state_dict() if "steps" not in name]
