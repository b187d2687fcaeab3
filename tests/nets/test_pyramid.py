from __future__ import annotations

import pytest
import torch

from vaekit.nets.pyramid import JoinMaps, resampling, resize


@pytest.mark.parametrize(("height", "width"), [(8, 6), (7, 6), (8, 5), (7, 5)])
def test_undoes_a_halving_by_doubling_every_pixel_but_a_last_odd_one(height: int, width: int) -> None:
    x = torch.randn(2, 3, 4, 3)
    doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(resize(x, (height, width)), doubled[..., :height, :width])


def test_shrinking_keeps_the_mean_and_every_pixel() -> None:
    x = torch.randn(2, 3, 12, 10).double().requires_grad_()
    small = resize(x, (4, 5))
    torch.testing.assert_close(small.mean((2, 3)), x.mean((2, 3)))
    (gradient,) = torch.autograd.grad(small.sum(), x)
    assert (gradient > 0).all()


def test_one_axis_may_grow_where_the_other_shrinks() -> None:
    x = torch.tensor([[[[1.0], [3.0]]]])
    assert resize(x, (1, 3)).tolist() == [[[[2, 2, 2]]]]


def test_joins_numbers_as_constant_channels_and_maps_at_the_size() -> None:
    join = JoinMaps([(1, 4, 6), (2,), (1, 2, 3)], (4, 6))
    image, label, small = torch.randn(5, 1, 4, 6), torch.randn(5, 2), torch.randn(5, 1, 2, 3)
    joined = join(image, label, small)
    assert torch.equal(joined[:, :1], image)
    assert torch.equal(joined[:, 1:3], label[:, :, None, None].expand(5, 2, 4, 6))
    assert torch.equal(joined[:, 3:], small.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert join.channels == joined.shape[1]


def test_a_matrix_is_joined_number_by_number() -> None:
    join = JoinMaps([(1, 4, 4), (2, 3)], (4, 4))
    matrix = torch.randn(5, 2, 3)
    joined = join(torch.zeros(5, 1, 4, 4), matrix)
    assert torch.equal(joined[:, 1:, 2, 1], matrix.reshape(5, 6))


@pytest.mark.parametrize("source", [1, 2, 5, 7, 8])
@pytest.mark.parametrize("target", [1, 3, 4, 7, 15])
def test_resampling_hits_the_size_and_sees_every_pixel(source: int, target: int) -> None:
    net = resampling((2, source, 6), (3, target, 3)).double()
    x = torch.randn(4, 2, source, 6).double().requires_grad_()
    y = net(x)
    assert y.shape == (4, 3, target, 3)
    (gradient,) = torch.autograd.grad((y * torch.randn_like(y)).sum(), x)
    assert (gradient != 0).all()
