from __future__ import annotations

import pytest
import torch

from vaekit.common.errors import DataError, UsageError
from vaekit.common.seeds import seeded
from vaekit.data import BINARIZE, Binarize, Dataset, Dynamic, Encoding, Greys, Splits, Static, Threshold

BYTES = torch.arange(256, dtype=torch.uint8).reshape(1, 256)
ALL = [Greys(), Dynamic(), Threshold(0.25), Static(7)]
BINARY = ALL[1:]


def every_byte(n: int) -> Dataset:
    """n rows, each with all bytes from 0 to 255."""
    return Dataset(BYTES.repeat(n, 1))


def assert_bernoulli(bits: torch.Tensor, p: torch.Tensor) -> None:
    """Each column of `bits` (n, d) has the mean p (d,) within five standard errors, which are 0 at 0 and 1."""
    assert set(bits.unique().tolist()) <= {0.0, 1.0}
    stderr = (p * (1 - p) / len(bits)).sqrt()
    assert ((bits.double().mean(0) - p).abs() <= 5 * stderr).all()


def test_bytes_are_greys_and_floats_are_as_they_are() -> None:
    encoded = Encoding(Greys()).encode(BYTES)
    assert encoded.dtype == torch.float32
    assert torch.equal(encoded, torch.arange(256.0)[None] / 255)
    floats = torch.tensor([[-3.5, 1e6]])
    assert torch.equal(Encoding(Greys()).encode(floats), floats)


def test_dynamic_draws_have_the_grey_as_their_mean() -> None:
    with seeded(0):
        bits = Encoding(Dynamic()).encode(every_byte(20_000).x)
    assert_bernoulli(bits, torch.arange(256).double() / 255)


def test_dynamic_draws_are_fresh_and_follow_the_current_generator() -> None:
    encode = Encoding(Dynamic()).encode
    with seeded(3):
        first, second = encode(BYTES), encode(BYTES)
    with seeded(3):
        again = encode(BYTES)
    assert not torch.equal(first, second)
    assert torch.equal(first, again)


def test_static_draws_have_the_grey_as_their_mean() -> None:
    encoding = Encoding(Static(seed=1))
    bits = encoding.encode(encoding.prepare(every_byte(20_000)).x)
    assert_bernoulli(bits, torch.arange(256).double() / 255)


def test_static_draws_are_made_once_and_stored_as_bytes() -> None:
    encoding, dataset = Encoding(Static(seed=1)), every_byte(50)
    prepared = encoding.prepare(dataset)
    assert prepared.x.dtype == torch.uint8
    assert set(prepared.x.unique().tolist()) == {0, 255}
    assert torch.equal(prepared.x, encoding.prepare(every_byte(50)).x)
    assert torch.equal(prepared.x, encoding.prepare(prepared).x)
    assert torch.equal(encoding.encode(prepared.x), encoding.encode(prepared.x))
    assert set(encoding.encode(prepared.x).unique().tolist()) == {0.0, 1.0}
    assert torch.equal(dataset.x, every_byte(50).x)


def test_static_draws_depend_on_the_seed_and_the_rows_but_not_on_labels_or_name() -> None:
    dataset = every_byte(50)
    drawn = Static(1).prepare(dataset)
    labelled = Dataset(dataset.x, torch.arange(50), "named")
    assert torch.equal(Static(1).prepare(labelled).x, drawn.x)
    assert not torch.equal(Static(2).prepare(dataset).x, drawn.x)


def test_static_keeps_labels_and_name() -> None:
    y = torch.arange(50)
    prepared = Static().prepare(Dataset(every_byte(50).x, y, "named"))
    assert prepared.y is y
    assert prepared.name == "named"


def test_static_streams_of_two_splits_are_independent() -> None:
    """One stream for both would make all draws of equal greys equal; at 1/2, half are so by chance."""
    grey = torch.full((1000, 100), 0.5)
    train, test = grey, torch.cat([grey[:999], torch.full((1, 100), 0.25)])
    same = Static().prepare(Dataset(train)).x[:999] == Static().prepare(Dataset(test)).x[:999]
    assert same.float().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / same.numel() ** 0.5)


def test_static_takes_float_greys_of_any_memory_layout() -> None:
    x = torch.linspace(0, 1, 600).reshape(20, 30)
    assert torch.equal(Static().prepare(Dataset(x)).x, Static().prepare(Dataset(x.t().contiguous().t())).x)


def test_static_mnist_keeps_its_ink(mnist: Splits) -> None:
    dataset = mnist.train.head(5000)
    p = dataset.x.double() / 255
    bits = Encoding(Static()).encode(Static().prepare(dataset).x)
    stderr = (p * (1 - p)).sum().sqrt().item()
    assert bits.double().sum().item() == pytest.approx(p.sum().item(), abs=5 * stderr)
    assert bits[p == 0].sum() == 0
    assert bits[p == 1].min() == 1


def test_threshold_is_exclusive() -> None:
    encoded = Encoding(Threshold(at=0.2)).encode(BYTES)
    assert torch.equal(encoded, (BYTES > 51).float())
    assert torch.equal(Encoding(Threshold()).encode(BYTES), (BYTES > 127).float())


@pytest.mark.parametrize("at", [-0.1, 1.0, float("nan")])
def test_a_threshold_that_parts_nothing_is_refused(at: float) -> None:
    with pytest.raises(UsageError, match="threshold"):
        Threshold(at)


@pytest.mark.parametrize("binarize", BINARY)
@pytest.mark.parametrize("value", [-0.01, 1.01, 2.0])
def test_values_outside_the_unit_interval_cannot_be_binarised(binarize: Binarize, value: float) -> None:
    x = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    x[3, 0, 1, 1] = value
    with pytest.raises(DataError, match=r"^row 3 of x has values outside \[0, 1\]"):
        Encoding(binarize).prepare(Dataset(x))


@pytest.mark.parametrize("binarize", [Dynamic(), Threshold()])
def test_what_is_missing_stays_missing(binarize: Binarize) -> None:
    x = torch.tensor([[0.0, torch.nan, 1.0]])
    encoding = Encoding(binarize)
    with seeded(0):
        bits = encoding.encode(encoding.prepare(Dataset(x)).x)
    assert torch.equal(bits.nan_to_num(7.0), torch.tensor([[0.0, 7.0, 1.0]]))


def test_a_static_binarisation_refuses_what_is_missing() -> None:
    with pytest.raises(DataError, match="row 0 of x holds a NaN"):
        Encoding(Static()).prepare(Dataset(torch.tensor([[0.0, torch.nan]])))


@pytest.mark.parametrize("binarize", [Greys(), Dynamic(), Threshold()])
def test_only_static_changes_the_dataset(binarize: Binarize) -> None:
    dataset = every_byte(2)
    assert binarize.prepare(dataset) is dataset


def test_greys_take_any_range() -> None:
    dataset = Dataset(torch.tensor([[-5.0, 300.0]]))
    assert Greys().prepare(dataset) is dataset


@pytest.mark.parametrize("name", BINARIZE)
def test_every_registered_binarisation_keeps_shape_and_dtype_and_says_what_it_does(name: str) -> None:
    binarize = BINARIZE[name]()
    with seeded(0):
        x = Encoding(binarize).encode(binarize.prepare(every_byte(3)).x)
    assert x.shape == (3, 256)
    assert x.dtype == torch.float32
    assert binarize.words


def test_every_encoding_survives_its_config() -> None:
    assert {type(binarize) for binarize in ALL} == set(BINARIZE.values())
    for binarize in ALL:
        encoding = Encoding(binarize)
        assert Encoding.from_config(encoding.to_config()) == encoding


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({}, "lacks its key 'binarize'"),
        ({"binarize": "statik"}, "did you mean 'static'"),
        ({"binarize": "static", "sed": 1}, "did you mean 'seed'"),
        ({"binarize": "none", "seed": 1}, "unknown encoding key 'seed'"),
        ({"binarize": "static", "seed": "one"}, "wrong type"),
        ({"binarize": "static", "seed": -1}, "negative"),
        ({"binarize": "threshold", "at": "half"}, "wrong type"),
    ],
)
def test_a_wrong_config_is_named(config: dict[str, str | int | float], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Encoding.from_config(config)
