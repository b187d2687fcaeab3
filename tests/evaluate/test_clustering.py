"""Clusters against classes: the best matching, by trying all."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from vaekit.common.errors import DataError
from vaekit.evaluate.clustering import matching


def test_the_accuracy_is_the_best_of_all_one_to_one_matchings() -> None:
    torch.manual_seed(0)
    for _ in range(20):
        clusters, truth = torch.randint(4, (40,)), torch.randint(4, (40,))
        best = max(float((torch.tensor(map_)[clusters] == truth).double().mean()) for map_ in permutations(range(4)))
        assert matching(clusters, truth).accuracy == pytest.approx(best)


def test_names_do_not_matter_and_chance_is_nothing() -> None:
    truth = torch.arange(3000) % 3
    same = matching((truth + 1) % 3, truth)
    assert (same.accuracy, same.nmi, same.ari) == pytest.approx((1.0, 1.0, 1.0))
    assert same.classes.tolist() == [2, 0, 1]
    chance = matching(torch.randint(3, (3000,), generator=torch.Generator().manual_seed(0)), truth)
    assert abs(chance.ari) < 0.01
    assert chance.nmi < 0.01


def test_clusters_that_are_too_many_count_as_wrong() -> None:
    found = matching(torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0, 0, 0, 1, 1, 1]))
    assert found.accuracy == pytest.approx(5 / 6)
    assert found.classes.tolist() == [0, -1, 1]


def test_no_rows_or_unlike_numbers_of_them_are_refused() -> None:
    with pytest.raises(DataError, match="3 clusters beside 2 classes"):
        matching(torch.zeros(3), torch.zeros(2))
    with pytest.raises(DataError, match="0 clusters"):
        matching(torch.zeros(0), torch.zeros(0))
