"""What holds for the two nets of every registered builder, and what the builders' names mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.nets import (
    ACTIVATIONS,
    NETS,
    NORMALISATIONS,
    Convolutional,
    Dense,
    Gated,
    NetBuilder,
    Residual,
    Size,
    WithShortcut,
)

from .waking import awake

VECTORS: list[Size] = [(3,), (), (2, 3)]
IMAGE: Size = (2, 9, 11)
ROWS = 16


def smooth(normalisation: str) -> list[NetBuilder]:
    """One small builder of each kind, with smooth activations, so that no unit is dead."""
    return [
        Dense((8, 16), "silu", normalisation),
        WithShortcut((8, 16), "silu", normalisation),
        Convolutional((8, 16), (5,), "silu", normalisation),
        Residual((8, 16), 2, "silu", normalisation),
    ]


SMALL = [Gated((8, 5)), *(builder for name in NORMALISATIONS for builder in smooth(name))]


Case = tuple[nn.Module, list[Tensor]]


def built(make: Callable[[Any, Size], nn.Module], in_shapes: list[Size], out_shape: Size) -> Case:
    inputs = [torch.randn(ROWS, *shape).double().requires_grad_() for shape in in_shapes]
    return awake(make(in_shapes, out_shape)), inputs


DIRECTIONS: dict[str, Callable[[NetBuilder], Case]] = {
    "down": lambda builder: built(builder.down, [IMAGE, *VECTORS], (6,)),
    "down to a map": lambda builder: built(builder.down, [*VECTORS, IMAGE, (1, 4, 5)], (6, 2, 3)),
    "up": lambda builder: built(builder.up, VECTORS, IMAGE),
    "up from a map": lambda builder: built(builder.up, [(3,), (4, 2, 5), (2, 3, 3)], IMAGE),
}

every_builder = pytest.mark.parametrize("builder", SMALL, ids=str)
every_direction = pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS.keys())


def projected(y: Tensor) -> Tensor:
    """A random linear functional of the output, in which no two entries cancel."""
    return (y * torch.randn_like(y)).sum()


def test_every_registered_builder_is_tested() -> None:
    assert {type(builder) for builder in SMALL} == set(NETS.values())


@every_builder
@every_direction
def test_gradients_reach_every_number_of_every_parameter(
    builder: NetBuilder, direction: Callable[[NetBuilder], Case]
) -> None:
    net, inputs = direction(builder)
    projected(net(*inputs)).backward()
    for name, parameter in net.named_parameters():
        assert (parameter.grad.abs() > 1e-9).all(), name


@every_builder
@every_direction
def test_every_number_of_every_input_influences_the_output(
    builder: NetBuilder, direction: Callable[[NetBuilder], Case]
) -> None:
    net, inputs = direction(builder)
    for gradient in torch.autograd.grad(projected(net(*inputs)), inputs):
        assert (gradient.abs() > 1e-9).all()


@every_builder
@every_direction
def test_rows_do_not_leak_into_each_other(builder: NetBuilder, direction: Callable[[NetBuilder], Case]) -> None:
    net, inputs = direction(builder)
    net.eval()
    before = net(*inputs)
    for x in inputs:
        moved = [other.detach().clone() for other in inputs]
        moved[next(i for i, other in enumerate(inputs) if other is x)][3] += 1
        differs = (net(*moved) != before).flatten(1).any(1)
        assert differs.tolist() == [row == 3 for row in range(ROWS)]


@pytest.mark.parametrize("name", NETS)
def test_defaults_make_the_nets_of_a_vae(name: str) -> None:
    builder = NETS[name]()
    encoder, decoder = builder.down([(1, 28, 28), (10,)], (40,)), builder.up([(20,), (10,)], (1, 28, 28))
    x, y = torch.rand(2, 1, 28, 28), torch.eye(10)[:2]
    z = encoder(x, y)[:, :20]
    assert decoder(z, y).shape == x.shape


def test_only_batch_normalisation_needs_the_other_rows() -> None:
    x = torch.randn(ROWS, 2, 9, 11)
    for name in NORMALISATIONS:
        net = Convolutional((8, 16), normalisation=name).down([IMAGE], (6,))
        alone, together = net(x[:2])[0], net(x)[0]
        assert torch.allclose(alone, together, atol=1e-5) is (name != "batch")


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", lambda x: x.clamp(min=0)),
        ("silu", lambda x: x * torch.sigmoid(x)),
        ("tanh", torch.tanh),
        ("gelu", lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2),
        ("elu", lambda x: torch.where(x > 0, x, torch.exp(x) - 1)),
        ("leaky_relu", lambda x: torch.where(x > 0, x, 0.01 * x)),
        ("softplus", lambda x: torch.log1p(torch.exp(x))),
    ],
)
def test_activations_are_what_their_names_say(name: str, function: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(-5, 5, 101).double()
    torch.testing.assert_close(ACTIVATIONS[name]()(x), function(x), rtol=0, atol=1e-12)
    net = Dense((4,), name).down([(3,)], (2,)).double()
    first, _, last = net.layers
    rows = torch.randn(5, 3).double()
    torch.testing.assert_close(net(rows), last(function(first(rows))), rtol=0, atol=1e-12)


def test_no_activation_is_untested() -> None:
    assert set(ACTIVATIONS) == {"relu", "silu", "tanh", "gelu", "elu", "leaky_relu", "softplus"}


def assert_standardised(x: Tensor, over: tuple[int, ...]) -> None:
    """Mean 0 and variance 1 over these axes, and over no fewer of them."""
    torch.testing.assert_close(x.mean(over), torch.zeros_like(x.mean(over)), rtol=0, atol=1e-10)
    variance = x.var(over, unbiased=False)
    torch.testing.assert_close(variance, torch.ones_like(variance), rtol=0, atol=1e-4)
    assert x.mean(over[1:]).abs().max() > 1e-3 if over[1:] else True


def test_normalisations_of_maps_take_their_statistics_where_they_say() -> None:
    x = 1 + 2 * torch.randn(ROWS, 16, 5, 7).double()
    assert_standardised(NORMALISATIONS["batch"].map(16).double()(x), (0, 2, 3))
    assert_standardised(NORMALISATIONS["layer"].map(16).double()(x), (1, 2, 3))
    grouped = NORMALISATIONS["group"].map(16).double()(x).unflatten(1, (2, 8))
    assert_standardised(grouped, (2, 3, 4))


def test_normalisations_of_vectors_take_their_statistics_where_they_say() -> None:
    x = 1 + 2 * torch.randn(64, 16).double()
    assert_standardised(NORMALISATIONS["batch"].vector(16).double()(x), (0,))
    assert_standardised(NORMALISATIONS["layer"].vector(16).double()(x), (1,))
    assert_standardised(NORMALISATIONS["group"].vector(16).double()(x).unflatten(1, (2, 8)), (2,))


def test_dense_up_has_the_widths_of_down_in_reverse() -> None:
    builder = Dense((30, 20, 10))
    down, up = builder.down([(40,)], (5,)), builder.up([(5,)], (40,))
    widths = [[layer.out_features for layer in net.layers if isinstance(layer, nn.Linear)] for net in (down, up)]
    assert widths == [[30, 20, 10, 5], [10, 20, 30, 40]]


def test_gated_up_has_the_widths_of_down_in_reverse_and_gates() -> None:
    net = Gated((8, 5)).up([(3,)], (4,))
    first, _, second, _, last = net.layers
    assert [first.linear.out_features, second.linear.out_features, last.out_features] == [10, 16, 4]
    x = torch.randn(6, 3)
    torch.testing.assert_close(net(x), last(F.glu(second.linear(F.glu(first.linear(x))))))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Dense(activation="rellu"), "unknown activation 'rellu': did you mean 'relu'"),
        (lambda: Dense(normalisation="bacth"), "unknown normalisation 'bacth': did you mean 'batch'"),
        (lambda: Dense(hidden=(0,)), r"hidden = \(0,\)"),
        (lambda: Gated(hidden=(300, 0)), r"hidden = \(300, 0\)"),
        (lambda: Convolutional(channels=(0, 8)), r"channels = \(0, 8\)"),
        (lambda: Convolutional(hidden=(0,)), r"hidden = \(0,\)"),
        (lambda: Convolutional(activation="swish"), "unknown activation 'swish'"),
        (lambda: Residual(channels=(8, -1)), r"channels = \(8, -1\)"),
        (lambda: Residual(blocks=0), "blocks = 0"),
        (lambda: Residual(normalisation="grop"), "did you mean 'group'"),
        (lambda: NETS["resent"], "unknown net 'resent': did you mean 'resnet'"),
    ],
)
def test_a_wrong_setting_is_refused_at_once(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refusal:
        make()
    assert "\n" not in str(refusal.value)


def test_builders_are_equal_by_their_settings() -> None:
    assert Dense() == Dense((400,), "relu", "none")
    assert len({Convolutional(), Convolutional((32, 64)), Residual()}) == 2
