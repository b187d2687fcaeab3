from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.nets import MLP, GatedLinear, Shortcut


def linears(net: nn.Module) -> list[nn.Linear]:
    return [module for module in net.modules() if isinstance(module, nn.Linear)]


def affine(layer: nn.Linear, x: Tensor) -> Tensor:
    y = x @ layer.weight.T
    return y if layer.bias is None else y + layer.bias


def gated(layer: nn.Linear, x: Tensor) -> Tensor:
    """(W x + b) * sigmoid(V x + c), from the four blocks themselves."""
    W, V = layer.weight.tensor_split(2)
    b, c = layer.bias.tensor_split(2)
    return (x @ W.T + b) / (1 + torch.exp(-(x @ V.T + c)))


def test_equals_the_formula_on_several_inputs() -> None:
    net = MLP([(1, 3, 2), (4,)], (2, 3), hidden=[7, 5], activation=nn.Tanh).double()
    x, y = torch.randn(6, 1, 3, 2).double(), torch.randn(6, 4).double()
    first, second, last = linears(net)
    h = torch.cat([x.reshape(6, 6), y], dim=1)
    h = torch.tanh(affine(second, torch.tanh(affine(first, h))))
    torch.testing.assert_close(net(x, y), affine(last, h).reshape(6, 2, 3), rtol=0, atol=1e-12)


def test_normalises_before_the_activation_and_without_a_second_bias() -> None:
    net = MLP([(4,)], (3,), hidden=[9], normalisation=nn.LayerNorm).double()
    x = torch.randn(6, 4).double()
    first, last = linears(net)
    assert first.bias is None
    h = affine(first, x)
    h = (h - h.mean(1, keepdim=True)) / (h.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(net(x), affine(last, h.clamp(min=0)), rtol=0, atol=1e-12)


def test_gated_linear_equals_the_formula() -> None:
    layer = GatedLinear(4, 3).double()
    x = torch.randn(6, 4).double()
    torch.testing.assert_close(layer(x), gated(layer.linear, x), rtol=0, atol=1e-12)


def test_gated_net_equals_the_formula() -> None:
    net = MLP([(4,)], (2,), hidden=[5, 3], activation=nn.Identity, linear=GatedLinear).double()
    x = torch.randn(6, 4).double()
    first, second, last = linears(net)
    torch.testing.assert_close(net(x), affine(last, gated(second, gated(first, x))), rtol=0, atol=1e-12)


def test_gates_half_open_let_the_variance_through() -> None:
    """Each layer passes about half of it, where PyTorch's own start would leave a twelfth."""
    with seeded(0):
        h = torch.randn(2000, 400)
        for _ in range(3):
            before, h = h.square().mean(), GatedLinear(400, 400)(h)
            assert 0.4 < h.square().mean() / before < 0.8


def test_starts_as_the_hand_written_classic_net_to_the_bit() -> None:
    with seeded(3):
        net = MLP([(784,)], (40,), hidden=[400])
    with seeded(3):
        by_hand = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    x = torch.rand(2, 784)
    assert torch.equal(net(x), by_hand(x))
    assert [p.shape for p in net.parameters()] == [p.shape for p in by_hand.parameters()]


def test_a_shortcut_is_affine_at_first_and_a_sum_for_ever() -> None:
    net = Shortcut(MLP([(3,), (1,)], (2,), hidden=[5], activation=nn.Tanh), [(3,), (1,)]).double()
    x, y = torch.randn(6, 3).double(), torch.randn(6, 1).double()
    straight = affine(linears(net.affine)[0], torch.cat([x, y], 1))
    torch.testing.assert_close(net(x, y), straight, rtol=0, atol=1e-12)
    nn.init.normal_(net.net.layers[-1].weight)
    torch.testing.assert_close(net(x, y), straight + net.net(x, y), rtol=0, atol=1e-12)
    assert net.net(x, y).abs().min() > 0


def test_without_hidden_layers_is_affine() -> None:
    net = MLP([(4,)], (3,), hidden=()).double()
    x, y, origin = torch.randn(6, 4).double(), torch.randn(6, 4).double(), torch.zeros(6, 4).double()
    torch.testing.assert_close(net(x + y) + net(origin), net(x) + net(y), rtol=0, atol=1e-12)
    assert not torch.allclose(net(x), net(y))


def test_takes_and_gives_scalars() -> None:
    net = MLP([(), (2,)], (), hidden=[3])
    x, y = torch.randn(6), torch.randn(6, 2)
    first, last = linears(net)
    expected = affine(last, F.relu(affine(first, torch.cat([x[:, None], y], dim=1))))
    torch.testing.assert_close(net(x, y), expected[:, 0])


def test_an_empty_batch_has_an_empty_answer() -> None:
    assert MLP([(1, 4, 4), (3,)], (2, 5))(torch.zeros(0, 1, 4, 4), torch.zeros(0, 3)).shape == (0, 2, 5)


@pytest.mark.parametrize(
    ("in_shapes", "out_shape", "hidden", "said"),
    [
        ([(784,)], (20,), (400, 0), r"hidden = \(400, 0\)"),
        ([(784,)], (20,), (-1,), r"hidden = \(-1,\)"),
        ([(784,)], (0,), (400,), r"output shape \(0,\)"),
        ([(784,), (1, 0, 28)], (20,), (400,), r"input shape \(1, 0, 28\)"),
        ([], (20,), (400,), "at least one input"),
        ((784,), (20,), (400,), "input shape 784 is not a shape"),
    ],
)
def test_refuses_what_makes_no_net(in_shapes: list, out_shape: tuple, hidden: tuple, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refusal:
        MLP(in_shapes, out_shape, hidden)
    assert "\n" not in str(refusal.value)
