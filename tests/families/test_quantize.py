"""Vector quantisation: nearest codes, their averages, their death and return, and grids in their place."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import Size, nn

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Latent, Parametric
from vaekit.families import (
    Bernoulli,
    Bits,
    Classes,
    Codebook,
    Codes,
    FiniteScalar,
    Quantize,
    Quantizer,
    ResidualCodebook,
)
from vaekit.families.codes import OnCodes
from vaekit.families.quantize import Point
from vaekit.fitting import fit
from vaekit.objectives import Commitment, DoublyReparameterised, Elbo, Gradient, Iwae, Step, StickTheLanding
from vaekit.priors import Autoregressive, UniformCodes


def quantizers() -> list[Quantizer]:
    return [Codebook(16, 3), ResidualCodebook(2, 8, 3), FiniteScalar((5, 4, 3))]


every_quantizer = pytest.mark.parametrize("quantizer", quantizers(), ids=lambda q: type(q).__name__)


def test_the_nearest_code_is_found() -> None:
    book = Codebook(50, 4).double()
    vectors = torch.randn(7, 6, 4).double()
    distance = (vectors.unsqueeze(-2) - book.table).norm(dim=-1)
    assert torch.equal(book.indices(vectors).squeeze(-1), distance.argmin(-1))
    assert torch.equal(book(vectors).hard, book.table[distance.argmin(-1)])


@every_quantizer
def test_a_code_is_told_by_its_digits(quantizer: Quantizer) -> None:
    hard = quantizer(torch.randn(200, quantizer.inputs)).hard
    digits = quantizer.indices(hard)
    assert digits.shape == (200, quantizer.digits)
    assert 0 <= int(digits.min()) <= int(digits.max()) < quantizer.codes
    torch.testing.assert_close(quantizer.vectors(digits), hard, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "codes", [Classes(5), Bits(3), Codebook(6, 2), ResidualCodebook(2, 3, 2), FiniteScalar((3, 2, 4))]
)
def test_all_digits_tell_different_codes_and_come_back(codes: Codes) -> None:
    digits = torch.tensor(list(itertools.product(range(codes.codes), repeat=codes.digits)))
    vectors = codes.vectors(digits)
    assert vectors.shape == (len(digits), codes.dimensions)
    assert len(vectors.unique(dim=0)) == codes.codes**codes.digits
    assert torch.equal(codes.indices(vectors), digits)
    assert OnCodes(codes, 1).check(vectors).all()
    assert not OnCodes(codes, 1).check(vectors + 0.3).any()


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 8])
def test_a_grid_has_exactly_its_levels_evenly_spaced(levels: int) -> None:
    grid = FiniteScalar((levels,))
    values = grid(torch.linspace(-20, 20, 10_001).unsqueeze(-1)).hard.unique()
    expected = (torch.arange(levels) - levels // 2) / (levels // 2)
    torch.testing.assert_close(values, expected.float())
    assert float(grid(torch.zeros(1, 1)).hard) == 0.0


def test_a_grid_is_squashed_and_rounded_as_in_the_paper() -> None:
    """round(h tanh(z + s) - o) / floor(L / 2), with s = tan(o / h)."""
    z, level = torch.randn(100).double(), 8
    half, offset = (level - 1) * (1 + FiniteScalar.MARGIN) / 2, 0.5
    expected = (half * torch.tanh(z + math.tan(offset / half)) - offset).round() / (level // 2)
    torch.testing.assert_close(FiniteScalar((level,)).double()(z.unsqueeze(-1)).hard.squeeze(-1), expected)


def test_the_codes_are_moving_averages_of_what_they_stood_for() -> None:
    book = Codebook(codes=2, dimensions=1, decay=0.9, revive=0.0)
    with torch.no_grad():
        book.counts.copy_(torch.tensor([3.0, 2.0]))
        book.sums.copy_(torch.tensor([[3.0], [20.0]]))  # codes 1 and 10
    first = torch.tensor([[0.0], [2.0], [4.0], [9.0]], requires_grad=True)
    assert book(first).hard.flatten().tolist() == [1.0, 1.0, 1.0, 10.0]
    torch.testing.assert_close(book.counts, torch.tensor([0.9 * 3 + 0.1 * 3, 0.9 * 2 + 0.1 * 1]))
    torch.testing.assert_close(book.sums, torch.tensor([[0.9 * 3 + 0.1 * 6], [0.9 * 20 + 0.1 * 9]]))
    torch.testing.assert_close(book.table, torch.tensor([[1.0], [10.0]]))  # told by the same codes to the end
    book(first)
    torch.testing.assert_close(book.table, torch.tensor([[3.3 / 3.0], [18.9 / 1.9]]))


def test_dead_codes_move_to_vectors_of_the_batch() -> None:
    book = Codebook(codes=4, dimensions=2, decay=0.5, revive=0.1)
    corners = torch.tensor([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 9.0]])
    with torch.no_grad():
        book.counts.fill_(8.0)
        book.sums.copy_(8 * torch.tensor([[0.0, 0.0], [99.0, 99.0], [99.0, 99.0], [99.0, 99.0]]))
    for _ in range(40):
        book(corners.repeat(8, 1).requires_grad_())
    used = book.indices(corners).flatten().unique()
    assert len(used) == 4
    torch.testing.assert_close(book(corners).hard, corners, rtol=0, atol=0.05)


def test_without_revival_dead_codes_stay_where_they_are() -> None:
    book = Codebook(codes=2, dimensions=1, decay=0.5, revive=0.0)
    with torch.no_grad():
        book.counts.fill_(8.0)
        book.sums.copy_(torch.tensor([[0.0], [800.0]]))
    for _ in range(5):
        book(torch.randn(16, 1).requires_grad_())
    assert float(book.table[1]) == pytest.approx(100.0)


def test_the_first_batch_gives_the_codes() -> None:
    book = Codebook(codes=8, dimensions=2)
    vectors = (100 + torch.randn(64, 2)).requires_grad_()
    book(vectors)
    found = (book.table.unsqueeze(1) == vectors).all(-1).any(1)
    assert found.all()


def test_codes_learn_only_in_training_and_along_with_the_encoder() -> None:
    book = Codebook(codes=8, dimensions=2)
    before = copy.deepcopy(book.state_dict())
    book(torch.randn(16, 2))
    book.eval()(torch.randn(16, 2).requires_grad_())
    with torch.no_grad():
        book.train()(torch.randn(16, 2).requires_grad_())
    assert all(torch.equal(value, book.state_dict()[name]) for name, value in before.items())


def test_each_book_quantises_what_those_before_it_left() -> None:
    books = ResidualCodebook(depth=3, codes=16, dimensions=4)
    vectors = torch.randn(500, 4)
    for _ in range(50):
        books(vectors.clone().requires_grad_())
    blocks = books.eval()(vectors).hard.chunk(3, -1)
    left = [(vectors - sum(blocks[:depth])).square().mean() for depth in range(1, 4)]
    assert left[0] > 1.3 * left[1] > 1.6 * left[2]
    torch.testing.assert_close(blocks[1], books.books[1](vectors - blocks[0]).hard)


def test_the_gradient_of_a_code_is_that_of_what_was_rounded() -> None:
    params, slope = torch.randn(1, 5, 3, 2, 2, requires_grad=True), torch.randn(3, 2, 2)
    for quantizer in (Codebook(16, 3), ResidualCodebook(1, 16, 3)):
        params.grad = None
        (Quantize(quantizer)(params).rsample() * slope).sum().backward()
        torch.testing.assert_close(params.grad, slope.expand_as(params))
    params.grad = None
    (Quantize(FiniteScalar((5, 5, 5)))(params).rsample() * slope).sum().backward()
    squashed = 2 * 1.001 * (1 - torch.tanh(params.detach()).square()) / 2
    torch.testing.assert_close(params.grad, slope * squashed)


def test_each_block_has_its_full_say_in_the_distance() -> None:
    """By finite differences of the sum over the books of the squared distance from the code."""
    books = ResidualCodebook(3, 8, 2).double().eval()
    vectors = torch.randn(1, 5, 2, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(Quantize(books)(vectors).distance.sum(), vectors)
    step = 1e-6 * torch.eye(2, dtype=torch.float64)
    with torch.no_grad():
        ends = [torch.stack([Quantize(books)(vectors + sign * each).distance for each in step], -1) for sign in (1, -1)]
    torch.testing.assert_close(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-4, atol=1e-6)


def test_blocks_that_are_added_up_pass_the_gradient_on_once() -> None:
    params = torch.randn(1, 5, 3, requires_grad=True)
    blocks = Quantize(ResidualCodebook(4, 16, 3))(params).rsample().unflatten(-1, (4, 3))
    (blocks.sum(-2) * torch.arange(3)).sum().backward()
    torch.testing.assert_close(params.grad, torch.arange(3.0).expand_as(params))


@every_quantizer
def test_all_the_mass_is_on_the_code(quantizer: Quantizer) -> None:
    q = Quantize(quantizer)(torch.randn(1, 5, quantizer.inputs, 2, 2))
    assert (q.batch_shape, q.event_shape) == ((1, 5), (quantizer.dimensions, 2, 2))
    x = q.sample(Size((3,)))
    assert (q.log_prob(x) == 0).all()
    assert (q.log_prob(x + 1e-3) == -math.inf).all()
    assert q.expand(Size((4, 5))).rsample().shape == (4, 5, quantizer.dimensions, 2, 2)
    assert q.support is not None
    assert q.support.check(x).all()


def quantised(quantizer: Quantizer) -> tuple[VAE, Batch]:
    """A model of 4 codes for each of 6 numbers, and rows."""
    shape = Size((quantizer.dimensions, 4))
    encoder = nn.Sequential(nn.Linear(6, quantizer.inputs * 4), nn.Unflatten(-1, (quantizer.inputs, 4)))
    decoder = nn.Sequential(nn.Flatten(), nn.Linear(shape.numel(), 6))
    z = Latent(UniformCodes(quantizer, shape), Parametric(encoder, Quantize(quantizer), given="x"))
    return VAE(Parametric(decoder, Bernoulli(), given="z"), z=z), Batch(torch.rand(10, 6).round())


@every_quantizer
def test_under_the_uniform_prior_the_rate_is_log_k_for_each_digit(quantizer: Quantizer) -> None:
    model, batch = quantised(quantizer)
    rate = torch.full((10,), 4 * quantizer.digits * math.log(quantizer.codes))
    terms = Elbo()(model.eval(), batch, Step.first())
    torch.testing.assert_close(terms.kl["z"], rate)
    torch.testing.assert_close(terms.value, terms.log_likelihood - rate)
    torch.testing.assert_close(Iwae(samples=5)(model, batch, Step.first()).value, terms.value)


def test_commitment_is_the_squared_distance_and_moves_only_the_encoder() -> None:
    model, batch = quantised(Codebook(16, 3))
    model.eval()
    trace = model.trace(batch.x)
    point = model.parts["z"].posterior({"x": batch.x.unsqueeze(0)})
    assert isinstance(point, Point)
    expected = (point.soft - point.hard).square().flatten(2).sum(-1).squeeze(0)
    loss = Commitment(0.25)(trace, batch, Step.first())
    torch.testing.assert_close(loss, 0.25 * expected)
    loss.sum().backward()
    named = dict(model.named_parameters())
    moved = {name for name, parameter in named.items() if parameter.grad is not None and parameter.grad.any()}
    assert moved == {name for name in named if "posterior" in name}
    objective = Elbo() + Commitment(0.25)
    terms = objective(model, batch, Step.first())
    torch.testing.assert_close(terms.elbo - terms.value, 0.25 * expected)
    assert not objective.is_bound


def test_what_a_step_teaches_is_seen_by_prior_and_posterior_alike_and_in_a_copy() -> None:
    model, batch = quantised(Codebook(16, 3))
    for _ in range(3):
        Elbo()(model.train(), batch, Step.first())
    twin = copy.deepcopy(model)
    latent = twin.parts["z"]
    assert isinstance(latent, Latent)
    assert isinstance(latent.prior, UniformCodes)
    assert latent.prior.codes is latent.posterior.family.quantizer
    assert latent.prior.codes is not model.parts["z"].posterior.family.quantizer
    assert not [name for name in twin.state_dict() if name.startswith("parts.z.prior")]


def test_a_prior_is_fitted_afterwards_with_the_rest_frozen() -> None:
    book = Codebook(8, 3)
    model, batch = quantised(book)
    latent = model.parts["z"]
    latent.prior = Autoregressive(book, (3, 4), width=16, layers=1, heads=2)
    for part in (latent.posterior, model.likelihood):
        part.requires_grad_(False)
    frozen = {name: value.clone() for name, value in model.state_dict().items() if "prior" not in name}
    run = {"max_epochs": 40, "learning_rate": 1e-2, "batch_size": 5, "validation": 0.0, "verbose": False}
    fitted = fit(model, Elbo(), batch.x, **run)  # type: ignore[arg-type]
    assert fitted.history[-1].train.total_kl < fitted.history[0].train.total_kl - 1
    after = fitted.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in frozen.items())


@pytest.mark.parametrize("gradient", [StickTheLanding(), DoublyReparameterised()])
def test_what_asks_for_the_posterior_twice_finds_the_same_codes(gradient: Gradient) -> None:
    model, batch = quantised(Codebook(8, 3))
    for _ in range(3):
        value = Iwae(3, gradient)(model.train(), batch, Step.first()).value
        assert value.isfinite().all()
        value.mean().backward()


def test_what_makes_no_codes_is_refused() -> None:
    with pytest.raises(UsageError, match="1 codes of length 3"):
        Codebook(1, 3)
    with pytest.raises(UsageError, match=r"decay of 1\.0"):
        Codebook(4, 3, decay=1.0)
    with pytest.raises(UsageError, match="0 codebooks"):
        ResidualCodebook(0)
    with pytest.raises(UsageError, match=r"levels = \(5, 1\)"):
        FiniteScalar((5, 1))
    with pytest.raises(UsageError, match=r"shape \(4, 7\) has vectors of 4, but the codes have 3"):
        Quantize(Codebook(4, 3)).width(Size((4, 7)))
    with pytest.raises(UsageError, match=r"vectors of 4, but the codes have 3"):
        UniformCodes(Codebook(4, 3), (4, 7))
    with pytest.raises(UsageError, match="commitment of -1"):
        Commitment(-1.0)


def test_commitment_needs_something_quantised() -> None:
    from vaekit.recipes import build

    model, _ = build("vae", (6,), latent=2)
    with pytest.raises(UsageError, match="Quantize posterior, which is none of 'z'"):
        (Elbo() + Commitment()).check(model)
