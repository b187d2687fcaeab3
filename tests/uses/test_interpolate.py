from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.linear_gaussian import LinearGaussian, TwoLevels
from vaekit.uses.interpolate import PATHS, interpolate, linear, spherical
from vaekit.uses.traverse import traversal

AT = torch.linspace(0, 1, 7, dtype=torch.float64)
SHAPES = [(1,), (5,), (7,), (20,), (2, 3, 4)]
every_path = pytest.mark.parametrize("name", PATHS)


def ends(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return torch.randn(shape).double(), 2 * torch.randn(shape).double()


def norms(points: Tensor) -> Tensor:
    return points.flatten(1).norm(dim=1)


@every_path
@pytest.mark.parametrize("shape", SHAPES)
def test_a_path_leads_from_its_start_to_its_end(name: str, shape: tuple[int, ...]) -> None:
    start, end = ends(shape)
    points = PATHS[name](start, end, AT)
    assert points.shape == (7, *shape)
    torch.testing.assert_close(points[0], start, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(points[-1], end, rtol=1e-12, atol=1e-14)


@every_path
@pytest.mark.parametrize("shape", SHAPES)
def test_the_way_back_is_the_way_there(name: str, shape: tuple[int, ...]) -> None:
    start, end = ends(shape)
    there, back = PATHS[name](start, end, AT), PATHS[name](end, start, AT)
    torch.testing.assert_close(back.flip(0), there, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_linear_points_lie_on_the_straight_line(shape: tuple[int, ...]) -> None:
    start, end = ends(shape)
    for t, point in zip(AT, linear(start, end, AT), strict=True):
        torch.testing.assert_close(point, (1 - t) * start + t * end)


@pytest.mark.parametrize("shape", [(5,), (7,), (20,), (2, 3, 4)])
def test_spherical_points_turn_evenly_and_their_norm_goes_evenly(shape: tuple[int, ...]) -> None:
    start, end = ends(shape)
    points = spherical(start, end, AT)
    torch.testing.assert_close(norms(points), (1 - AT) * start.norm() + AT * end.norm())
    directions = points.flatten(1) / norms(points).unsqueeze(1)
    angle = torch.arccos(directions[0] @ directions[-1])
    turned = torch.arccos((directions[:-1] * directions[1:]).sum(1))
    torch.testing.assert_close(turned, (angle / 6).expand(6))


def test_spherical_is_the_great_circle_in_a_plane() -> None:
    """As many steps as coordinates, where a norm could be taken for a coordinate."""
    points = spherical(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 0.0]), torch.tensor([0.0, 1 / 3, 1.0]))
    third = 5 / 3 * torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6), 0.0])
    torch.testing.assert_close(points, torch.stack([torch.tensor([1.0, 0, 0]), third, torch.tensor([0, 3.0, 0])]))


@pytest.mark.parametrize("factor", [1.0, 2.5, -1.0, -0.3, 0.0, 1 + 1e-7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ends_in_one_line_with_the_origin_give_finite_points(factor: float, dtype: torch.dtype) -> None:
    start = torch.randn(6, dtype=dtype)
    at = AT.to(dtype)
    points = spherical(start, factor * start, at)
    expected = torch.stack([(1 - t + t * factor) * start for t in at])
    torch.testing.assert_close(points, expected, rtol=1e-4, atol=1e-5)


def test_two_zeros_stay_zero() -> None:
    assert torch.equal(spherical(torch.zeros(4), torch.zeros(4), AT.float()), torch.zeros(7, 4))


def test_a_way_decoded_is_the_way_of_the_means() -> None:
    truth = LinearGaussian.random()
    model = truth.model(truth.exact.full_normal("x"))
    starts, ends = torch.randn(2, 3, 2).double()
    found = interpolate(model, {"z": starts}, {"z": ends}, 5, linear)
    expected = [(1 - t) * starts + t * ends for t in (0, 0.25, 0.5, 0.75, 1)]
    torch.testing.assert_close(found, torch.stack(expected, dim=1) @ truth.W.T + truth.b)


def test_all_latents_of_a_hierarchy_go_the_way_together() -> None:
    truth = TwoLevels.random()
    starts = {"z1": torch.randn(4, 3).double(), "z2": torch.randn(4, 2).double()}
    ends = {name: -2 * code + 1 for name, code in starts.items()}
    found = interpolate(truth.exact_top_down(), starts, ends, 3, spherical)
    assert found.shape == (4, 3, 4)
    for step, codes in ((0, starts), (2, ends)):
        torch.testing.assert_close(found[:, step], codes["z1"] @ truth.lower.W.T + truth.lower.b)


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_a_traversal_changes_its_coordinate_and_no_other(shape: tuple[int, ...]) -> None:
    code, values = torch.randn(shape), torch.tensor([-3.0, 0.5, 3.0])
    codes = traversal(code, 4, values)
    assert codes.shape == (3, *shape)
    assert torch.equal(codes.flatten(1)[:, 4], values)
    kept = [0, 1, 2, 3] + ([5] if code.numel() == 6 else [])
    assert torch.equal(codes.flatten(1)[:, kept], code.flatten()[kept].expand(3, -1))
