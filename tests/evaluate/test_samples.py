"""Samples against data: distances, neighbours and copies, on distributions where they are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from core.statistics import SIGMAS
from vaekit.common.errors import DataError, UsageError
from vaekit.common.seeds import seeded
from vaekit.data import Dataset, load_mnist
from vaekit.evaluate import (
    PrincipalComponents,
    frechet_distance,
    frechet_limit,
    kernel_distance,
    label_features,
    memorisation,
    neighbourhood,
    pixels,
)
from vaekit.evaluate.features import both_features, features
from vaekit.evaluate.frechet import frechet_of_moments
from vaekit.evaluate.neighbours import nearest


def random_covariance(d: int, rank: int) -> Tensor:
    root = torch.randn(d, rank).double()
    return root @ root.T


@pytest.mark.parametrize("rank", [5, 2])
def test_the_frechet_distance_is_that_of_its_formula(rank: int) -> None:
    a, b = random_covariance(5, 5), random_covariance(5, rank)
    mean = torch.randn(5).double()
    root = np.real(sqrtm((a @ b).numpy()))
    expected = float(mean.square().sum() + a.trace() + b.trace()) - 2 * np.trace(root)
    found = frechet_of_moments(mean, a, torch.zeros(5).double(), b)
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert found == pytest.approx(frechet_of_moments(torch.zeros(5).double(), b, mean, a), rel=1e-6)


def test_of_moved_and_scaled_data_it_is_exact() -> None:
    """Scales that commute: |shift|^2 + sum (s - 1)^2 var, whatever the sample."""
    x = torch.randn(500, 3).double()
    x = (x - x.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(x.T.cov()).T)
    scale, shift = torch.tensor([2.0, 0.5, 1.0]).double(), torch.tensor([1.0, -1.0, 0.0]).double()
    found = frechet_distance(x * scale + shift, x)
    assert found.value == pytest.approx(2 + 1 + 0.25, rel=1e-6)
    assert (found.name, found.n, found.rows) == ("fd[pixels]", 500, 500)
    assert frechet_distance(x, x).value == pytest.approx(0, abs=1e-6)


def test_two_gaussians_have_the_closed_form_and_the_bias_of_few_samples() -> None:
    def at(n: int) -> float:
        return frechet_distance(torch.randn(n, 8) + 0.5, torch.randn(n, 8)).value

    few, many = sum(at(100) for _ in range(20)) / 20, at(20_000)
    assert many == pytest.approx(8 * 0.25, abs=0.1)
    assert few > many + 0.2


def test_the_limit_is_without_the_bias() -> None:
    found = [frechet_limit(torch.randn(400, 8) + 0.3, torch.randn(400, 8)) for _ in range(30)]
    plain = [frechet_distance(torch.randn(400, 8) + 0.3, torch.randn(400, 8)).value for _ in range(30)]
    values, truth = torch.tensor([one.value for one in found]), 8 * 0.09
    assert abs(float(values.mean()) - truth) <= SIGMAS * float(values.std()) / math.sqrt(30)
    assert sum(plain) / 30 > truth + 0.1
    assert found[0].name == "fd_infinity[pixels]"


def test_the_kernel_distance_of_the_same_is_zero_on_average() -> None:
    found = [kernel_distance(torch.randn(100, 4), torch.randn(100, 4)).value for _ in range(200)]
    values = torch.tensor(found)
    assert (values < 0).any()
    assert abs(float(values.mean())) <= SIGMAS * float(values.std()) / math.sqrt(200)


def test_the_kernel_distance_of_moved_data_is_the_known_one() -> None:
    """In one dimension E (xy + 1)^3 = 1 + 3 m m' + 3 s s' + t t', of the first three moments m, s, t of each."""
    truth = 3 * 1 + 3 * (2 - 1) ** 2 + 4**2  # means 0, 1; second moments 1, 2; third moments 0, 4
    found = kernel_distance(torch.randn(40_000, 1) + 1, torch.randn(40_000, 1))
    assert found.estimate.stderr < 1
    assert abs(found.value - truth) <= SIGMAS * found.estimate.stderr
    assert found.name == "kd[pixels]"


def test_identical_sets_are_all_real_and_all_covered() -> None:
    x = torch.randn(300, 3)
    found = neighbourhood(x, x.clone(), k=4)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(1.25, abs=0.3)  # each is also in its own reach


def test_disjoint_sets_have_nothing_in_common() -> None:
    found = neighbourhood(torch.randn(100, 3) + 30, torch.randn(120, 3))
    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)
    assert (found.n, found.rows, found.extractor) == (100, 120, "pixels")


def test_equal_distributions_have_the_coverage_and_density_that_are_known() -> None:
    """Naeem et al.: at equal numbers E density = 1 and E coverage = 1 - (n - 1)...(n - k) / ((2n - 1)...(2n - k))."""
    n, k = 150, 3
    found = [neighbourhood(torch.randn(n, 2), torch.randn(n, 2), k=k) for _ in range(150)]
    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    for name, truth in (("coverage", expected), ("density", 1.0)):
        values = torch.tensor([getattr(one, name) for one in found])
        assert abs(float(values.mean()) - truth) <= SIGMAS * float(values.std()) / math.sqrt(150)


def test_a_dropped_mode_costs_recall_and_an_invented_one_precision() -> None:
    data = torch.cat([torch.randn(400, 2), torch.randn(400, 2) + 20])
    dropped = neighbourhood(torch.randn(800, 2), data)
    invented = neighbourhood(torch.cat([torch.randn(400, 2), torch.randn(400, 2) + 20]), torch.randn(800, 2))
    assert dropped.precision > 0.9
    assert dropped.recall == pytest.approx(0.5, abs=0.06)
    assert dropped.coverage == pytest.approx(0.5, abs=0.06)
    assert invented.recall > 0.9
    assert invented.precision == pytest.approx(0.5, abs=0.06)


def test_neighbours_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, from all distances, and with chunks that part the rows unevenly."""
    monkeypatch.setattr("vaekit.evaluate.neighbours.PAIRS_AT_ONCE", 250)
    a, b, k = torch.randn(41, 3).double(), torch.randn(37, 3).double() + 0.5, 3
    across = torch.cdist(a, b)
    reach_a, reach_b = (torch.cdist(side, side).sort(1).values[:, k] for side in (a, b))
    found = neighbourhood(a, b, k=k)
    assert found.precision == pytest.approx(float((across <= reach_b).any(1).double().mean()))
    assert found.recall == pytest.approx(float((across <= reach_a[:, None]).any(0).double().mean()))
    assert found.density == pytest.approx(float((across <= reach_b).double().sum()) / (k * 41))
    assert found.coverage == pytest.approx(float((across.amin(0) <= reach_b).double().mean()))
    torch.testing.assert_close(nearest(a, b), across.amin(1).square())


@pytest.mark.parametrize("spread", [1.0, 1e-2])
def test_neighbours_are_exact_near_and_far(spread: float) -> None:
    """Clusters whose width float32 does, or does not, tell from the distance between them."""
    with seeded(3):
        centres = 10 * torch.randn(20, 30).double()
        a, b = (centres.repeat(15, 1) + spread * torch.randn(300, 30).double() for _ in range(2))
    found = neighbourhood(a, b, k=3)
    within = lambda one, other: (one.unsqueeze(1) - other).square().sum(-1)  # noqa: E731
    reach_a, reach_b = (within(one, one).sort(1).values[:, 3] for one in (a, b))
    across = within(a, b)
    assert found.precision == float((across <= reach_b).any(1).double().mean())
    assert found.recall == float((across <= reach_a.unsqueeze(1)).any(0).double().mean())
    assert found.density == pytest.approx(float((across <= reach_b).sum(1).double().mean()) / 3)
    assert found.coverage == float((across.amin(0) <= reach_b).double().mean())


def test_copies_are_found() -> None:
    training, held_out = torch.randn(500, 5), torch.randn(400, 5)
    found = memorisation(training[:200] + 0.01 * torch.randn(200, 5), training, held_out)
    assert found.closer.share > 0.99
    assert found.copies > 0.95
    assert found.p_value < 1e-12
    assert found.sample_distance < 0.05 < found.held_out_distance


def test_new_samples_are_no_copies_and_poor_ones_neither() -> None:
    training, held_out = torch.randn(500, 5), torch.randn(800, 5)
    new, poor = (
        memorisation(samples, training, held_out) for samples in (torch.randn(800, 5), 3 * torch.randn(800, 5))
    )
    assert new.closer.share == pytest.approx(0.5, abs=SIGMAS * 0.0145)
    assert new.copies == pytest.approx(0.05, abs=0.04)
    assert new.p_value > 1e-3
    assert poor.closer.share < 0.1
    assert poor.p_value > 0.999


def test_a_tenth_of_copies_is_seen_in_their_share() -> None:
    training, held_out = torch.randn(500, 5), torch.randn(800, 5)
    found = memorisation(torch.cat([training[:80], torch.randn(720, 5)]), training, held_out)
    assert found.copies == pytest.approx(0.1 + 0.9 * 0.05, abs=0.04)


def test_components_keep_distances_as_far_as_they_span() -> None:
    x = torch.randn(200, 3).double() @ torch.randn(3, 10).double()
    found = PrincipalComponents(x, 3)
    torch.testing.assert_close(torch.cdist(found(x), found(x)), torch.cdist(x, x), rtol=1e-6, atol=1e-5)
    spread = PrincipalComponents(torch.randn(2000, 3) * torch.tensor([1.0, 5.0, 2.0]), 2)
    assert spread(torch.eye(3)).abs().argmax(0).tolist() == [1, 2]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_mnist().train.head(3000)


def test_label_features_tell_the_labels_and_repeat_by_their_seed(digits: Dataset) -> None:
    extractor = label_features(digits, seed=1, epochs=2)
    assert extractor.accuracy > 0.8
    x = digits.x[:20].float() / 255
    assert extractor(x).shape == (20, 64)
    again = label_features(digits, seed=1, epochs=2)
    assert torch.equal(extractor(x), again(x))
    assert not torch.equal(extractor(x), label_features(digits, seed=2, epochs=1)(x))
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_they_see_a_missing_class_better_than_noise_of_the_same_size(digits: Dataset) -> None:
    assert digits.y is not None
    with seeded(0):
        extractor = label_features(digits, epochs=2)
    x = digits.x.float() / 255
    without = x[digits.y != 1]
    assert frechet_distance(without, x, extractor).name == "fd[labels]"
    some = torch.randperm(len(x))[: len(without)]
    assert frechet_distance(without, x, extractor).value > 3 * frechet_distance(x[some], x, extractor).value


def test_labels_may_be_any_numbers() -> None:
    x = torch.cat([torch.randn(200, 2), torch.randn(200, 2) + 6])
    extractor = label_features(Dataset(x, torch.tensor([-5, 1000]).repeat_interleave(200)), epochs=10)
    assert extractor.accuracy > 0.9


def test_what_has_no_labels_is_refused() -> None:
    with pytest.raises(DataError, match="no labels"):
        label_features(Dataset(torch.zeros(5, 2)))
    with pytest.raises(DataError, match="one label"):
        label_features(Dataset(torch.zeros(5, 2), torch.ones(5, dtype=torch.long)))


def test_features_that_are_none_are_refused() -> None:
    x = torch.randn(60, 2)
    with pytest.raises(UsageError, match=r"made \(60, 1, 2\)"):
        features(lambda x: x.unsqueeze(1), x)
    with pytest.raises(UsageError, match="not finite"):
        features(torch.log, x)
    with pytest.raises(UsageError, match=r"\(60, 2\) but data of \(60, 3\)"):
        both_features(pixels, x, torch.randn(60, 3))
    with pytest.raises(UsageError, match="60 neighbours"):
        neighbourhood(x, x, k=60)
    with pytest.raises(UsageError, match="at least 50"):
        frechet_limit(x[:40], x)
    with pytest.raises(UsageError, match="3 components"):
        PrincipalComponents(x, 3)
