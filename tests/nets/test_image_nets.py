"""What holds for convolutional and residual nets alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.nets import Convolutional, Down, Levels, Residual, ResidualBlock, Up, conv_levels, residual_levels

from .waking import awake

BUILDERS = [Convolutional(channels=(4, 8)), Residual(channels=(4, 8), blocks=1)]
LEVELS = [conv_levels, residual_levels]
every_builder = pytest.mark.parametrize("builder", BUILDERS, ids=["conv", "resnet"])


@every_builder
@pytest.mark.parametrize("size", [(28, 28), (32, 32), (20, 28), (27, 33), (1, 1), (5, 1), (3, 64)])
def test_any_image_size_comes_out_exactly(builder: Convolutional | Residual, size: tuple[int, int]) -> None:
    up = builder.up([(5,), (2,)], (3, *size))
    assert up(torch.randn(2, 5), torch.randn(2, 2)).shape == (2, 3, *size)
    down = builder.down([(3, *size), (2,)], (6,))
    assert down(torch.randn(2, 3, *size), torch.randn(2, 2)).shape == (2, 6)


@every_builder
@pytest.mark.parametrize("target", [(28, 28), (14, 14), (7, 7), (3, 5), (1, 1), (10, 10), (30, 40)])
def test_maps_come_out_and_go_in_at_any_size(builder: Convolutional | Residual, target: tuple[int, int]) -> None:
    down = builder.down([(1, 28, 28)], (6, *target))
    assert down(torch.randn(2, 1, 28, 28)).shape == (2, 6, *target)
    up = builder.up([(6, *target)], (1, 28, 28))
    assert up(torch.randn(2, 6, *target)).shape == (2, 1, 28, 28)


@every_builder
def test_every_pixel_of_the_output_is_free(builder: Convolutional | Residual) -> None:
    """The Jacobian of a decoder with many latents has no two equal rows: growing copies no pixel into the output."""
    net = awake(builder.up([(200,)], (1, 9, 7)))
    z = torch.randn(1, 200).double()
    jacobian = torch.autograd.functional.jacobian(lambda z: net(z).flatten(), z).flatten(1)
    distances = torch.cdist(jacobian, jacobian) + torch.eye(63)
    assert distances.min() > 1e-6


def interior(maps: Tensor, margin: int) -> Tensor:
    return maps[..., margin:-margin, margin:-margin]


@every_builder
def test_down_to_a_map_is_covariant_under_translation(builder: Convolutional | Residual) -> None:
    net = awake(builder.down([(1, 64, 64)], (3, 16, 16)))
    canvas = torch.randn(1, 1, 64, 68).double()
    here, four_to_the_right = net(canvas[..., 4:]), net(canvas[..., :-4])
    one_to_the_right = here.roll(1, dims=-1)
    torch.testing.assert_close(interior(four_to_the_right, 6), interior(one_to_the_right, 6), rtol=0, atol=1e-11)
    assert not torch.allclose(interior(four_to_the_right, 6), interior(here, 6), atol=1e-3)


@every_builder
def test_up_from_a_map_is_covariant_under_translation(builder: Convolutional | Residual) -> None:
    net = awake(builder.up([(3, 16, 16)], (1, 64, 64)))
    canvas = torch.randn(1, 3, 16, 17).double()
    here, one_to_the_right = net(canvas[..., 1:]), net(canvas[..., :-1])
    four_to_the_right = here.roll(4, dims=-1)
    torch.testing.assert_close(interior(one_to_the_right, 26), interior(four_to_the_right, 26), rtol=0, atol=1e-11)
    assert not torch.allclose(interior(one_to_the_right, 26), interior(here, 26), atol=1e-3)


@every_builder
def test_a_flat_map_grows_to_an_image_without_a_checkerboard(builder: Convolutional | Residual) -> None:
    net = awake(builder.up([(3, 16, 16)], (1, 64, 64)))
    flat = torch.randn(1, 3, 1, 1).double().expand(1, 3, 16, 16)
    image = interior(net(flat), 26)
    torch.testing.assert_close(image, image.mean().expand_as(image), rtol=0, atol=1e-11)


@every_builder
def test_a_label_is_seen_by_every_pixel_of_a_map(builder: Convolutional | Residual) -> None:
    net = awake(builder.down([(1, 12, 12), (2,)], (1, 3, 3)))
    image = torch.randn(1, 1, 12, 12).double().expand(2, 1, 12, 12)
    one, other = net(image, torch.eye(2).double())
    assert ((one - other).abs() > 1e-6).all()


def map_shapes(net: nn.Module, *inputs: Tensor) -> list[tuple[int, ...]]:
    """The shapes that the convolutions of a net give, in order."""
    shapes: list[tuple[int, ...]] = []

    def note(module: nn.Module, args: object, output: Tensor) -> None:
        shapes.append(tuple(output.shape[1:]))

    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    net(*inputs)
    return shapes


def test_up_mirrors_down() -> None:
    builder = Convolutional(channels=(4, 8), hidden=(6, 7))
    down, up = builder.down([(1, 28, 28)], (10,)), builder.up([(5,)], (1, 28, 28))
    assert map_shapes(down, torch.zeros(1, 1, 28, 28)) == [(4, 14, 14), (8, 7, 7)]
    assert map_shapes(up, torch.zeros(1, 5)) == [(4, 14, 14), (1, 28, 28)]
    widths = [[m.out_features for m in net.modules() if isinstance(m, nn.Linear)] for net in (down, up)]
    assert widths == [[6, 7, 10], [7, 6, 8 * 7 * 7]]


@pytest.mark.parametrize("levels", LEVELS)
def test_down_refuses_inputs_without_an_image(levels: Callable[..., Levels]) -> None:
    with pytest.raises(UsageError, match=r"\(784,\), \(10,\)") as refusal:
        Down([(784,), (10,)], (20,), levels())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("levels", LEVELS)
def test_up_refuses_an_output_that_is_no_image(levels: Callable[..., Levels]) -> None:
    with pytest.raises(UsageError, match=r"output shapes \(784,\)"):
        Up([(20,)], (784,), levels())


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(
    ("in_shapes", "out_shape", "channels", "said"),
    [
        ([(1, 28, 28)], (20,), (32, 0), r"channels = \(32, 0\)"),
        ([(1, 28, 28)], (20,), (), "at least one level"),
        ([(1, 28, 0)], (20,), (32,), r"input shape \(1, 28, 0\)"),
        ([(1, 28, 28)], (0,), (32,), r"output shape \(0,\)"),
        ([], (20,), (32,), "at least one input"),
    ],
)
def test_refuses_what_makes_no_net(
    levels: Callable[..., Levels], in_shapes: list, out_shape: tuple, channels: tuple, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refusal:
        Down(in_shapes, out_shape, levels(channels))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("levels", LEVELS)
def test_up_refuses_a_width_of_zero(levels: Callable[..., Levels]) -> None:
    with pytest.raises(UsageError, match=r"channels = \(8, 0\)"):
        Up([(20,)], (1, 28, 28), levels((8, 0), normalisation=nn.BatchNorm2d))


def test_residual_nets_need_a_block() -> None:
    with pytest.raises(UsageError, match="blocks = 0"):
        residual_levels(blocks=0)


def branches(net: nn.Module) -> list[ResidualBlock]:
    return [module for module in net.modules() if isinstance(module, ResidualBlock)]


@pytest.mark.parametrize("normalisation", [None, nn.BatchNorm2d])
def test_a_residual_block_starts_as_the_identity(normalisation: Callable[[int], nn.Module] | None) -> None:
    block, h = ResidualBlock(4, normalisation=normalisation), torch.randn(5, 4, 6, 6)
    assert torch.equal(block(h), h)
    assert not torch.allclose(awake(block)(h.double()), h.double(), atol=1e-3)


def test_a_residual_block_equals_the_formula() -> None:
    block = awake(ResidualBlock(4, nn.Tanh, nn.BatchNorm2d))
    h = torch.randn(5, 4, 6, 6).double()
    norm1, _, first, norm2, _, last = block.branch

    def normalised(h: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        centred = h - h.mean((0, 2, 3), keepdim=True)
        unit = centred / (centred.square().mean((0, 2, 3), keepdim=True) + norm.eps).sqrt()
        return unit * norm.weight[:, None, None] + norm.bias[:, None, None]

    inner = torch.conv2d(torch.tanh(normalised(h, norm1)), first.weight, padding=1)
    outer = torch.conv2d(torch.tanh(normalised(inner, norm2)), last.weight, padding=1)
    torch.testing.assert_close(block(h), h + outer, rtol=0, atol=1e-10)


class Silent(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return torch.zeros_like(h)


def test_residual_nets_start_as_the_nets_without_blocks() -> None:
    net = Up([(5,)], (1, 14, 14), residual_levels((4, 8), blocks=3))
    z = torch.randn(3, 5)
    before = net(z)
    assert len(branches(net)) == 6
    for block in branches(net):
        block.branch = Silent()
    assert torch.equal(net(z), before)


def test_a_residual_branch_wakes_from_its_last_convolution() -> None:
    net = Down([(1, 12, 12)], (6,), residual_levels((4, 8), blocks=1)).double()
    x = torch.randn(5, 1, 12, 12).double()
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    for awake_already in (False, True):
        optimiser.zero_grad()
        net(x).square().sum().backward()
        for block in branches(net):
            first, last = (m for m in block.branch if isinstance(m, nn.Conv2d))
            assert bool(first.weight.grad.abs().sum() > 0) is awake_already
            assert last.weight.grad.abs().sum() > 0
        optimiser.step()
