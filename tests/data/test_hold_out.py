from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaekit.common.errors import DataError, UsageError
from vaekit.data import Dataset, hold_out


def numbered(n: int) -> Dataset:
    """Rows and labels that both say which row they were."""
    return Dataset(torch.arange(float(n))[:, None], torch.arange(n), "numbered")


@given(
    n=st.integers(2, 60),
    fraction=st.floats(0, 1, exclude_min=True, exclude_max=True),
    seed=st.integers(0, 2**31),
)
def test_the_parts_are_disjoint_cover_all_and_keep_labels_with_rows(n: int, fraction: float, seed: int) -> None:
    train, held = hold_out(numbered(n), fraction, seed)
    assert held is not None
    assert train.y is not None
    assert held.y is not None
    assert sorted(train.y.tolist() + held.y.tolist()) == list(range(n))
    assert len(held) == min(max(round(fraction * n), 1), n - 1)
    for part in (train, held):
        assert part.y is not None
        assert torch.equal(part.x[:, 0].long(), part.y)
        assert part.y.tolist() == sorted(part.y.tolist())


def test_the_draw_depends_on_the_seed_alone() -> None:
    first, again, other = (hold_out(numbered(1000), 0.2, seed)[0].x for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_each_row_is_as_likely_to_be_held_out() -> None:
    n, draws, fraction = 20, 2000, 0.25
    counts = torch.zeros(n)
    for seed in range(draws):
        _, held = hold_out(numbered(n), fraction, seed)
        assert held is not None
        counts[held.y] += 1
    stderr = (draws * fraction * (1 - fraction)) ** 0.5
    assert (counts - draws * fraction).abs().max() < 5 * stderr


def test_nothing_is_held_out_at_a_fraction_of_zero() -> None:
    dataset = numbered(3)
    assert hold_out(dataset, 0, seed=0) == (dataset, None)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_other_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="cannot be held out"):
        hold_out(numbered(10), fraction, seed=0)


def test_a_single_row_cannot_be_parted() -> None:
    with pytest.raises(DataError, match="1 row"):
        hold_out(numbered(1), 0.5, seed=0)
