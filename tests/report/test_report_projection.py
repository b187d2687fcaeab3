"""The map of the codes: the projection that it says it is."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from vaekit.report.colours import DISTINCT, palette
from vaekit.report.projection import principal_components, projected


@pytest.fixture
def codes() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(200, 6, generator=generator) @ torch.randn(6, 6, generator=generator) + 7


def test_principal_components_are_those_of_a_singular_value_decomposition(codes: torch.Tensor) -> None:
    centred = codes.double().numpy() - codes.double().numpy().mean(0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * singular[:2]
    found = principal_components(codes).points.numpy()
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-9)


def test_the_caption_names_the_share_of_variance_of_each_axis(codes: torch.Tensor) -> None:
    variances = np.linalg.eigvalsh(np.cov(codes.double().numpy().T))[::-1]
    shares = [f"{100 * share:.0f} %" for share in variances[:2] / variances.sum()]
    assert re.findall(r"\d+ %", principal_components(codes).words) == shares


def test_codes_of_two_dimensions_stay_as_they_are(codes: torch.Tensor) -> None:
    pair = codes[:, :2]
    assert torch.equal(projected(pair).points, pair)
    assert "100 %" in projected(pair).words


def test_a_single_coordinate_is_drawn_against_its_distribution_function(codes: torch.Tensor) -> None:
    points = projected(codes[:, :1]).points
    assert torch.equal(points[:, 0].float(), codes[:, 0])
    for value, share in points.tolist():
        assert share == pytest.approx(float((points[:, 0] < value).double().mean()))


def test_codes_that_are_all_alike_have_a_place() -> None:
    assert not projected(torch.ones(5, 4)).points.any()


def test_the_projection_does_not_depend_on_the_order_of_the_rows(codes: torch.Tensor) -> None:
    shuffled = codes.flip(0)
    torch.testing.assert_close(principal_components(shuffled).points.flip(0), principal_components(codes).points)


def test_up_to_ten_labels_have_distinct_colours_and_more_have_one_each() -> None:
    assert palette(10) == DISTINCT
    assert len(set(palette(37))) == 37
