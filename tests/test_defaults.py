"""Defaults: sensible at every size, and said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from math import ceil

import pytest

from vaekit.common.errors import UsageError
from vaekit.defaults import Defaults

ROWS = [2, 5, 19, 20, 150, 569, 1000, 4898, 32_561, 10**6, 10**8]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("columns", [1, 4, 30, 1000])
def test_they_are_such_as_can_be_trained_with(rows: int, columns: int) -> None:
    chosen = Defaults.of(rows, columns)
    assert 1 <= chosen.latent <= max(1, columns)
    assert 1 <= chosen.patience <= max(5, chosen.max_epochs)
    assert chosen.learning_rate > 0
    assert chosen.members >= 1
    assert 0 <= chosen.validation < 0.5
    assert chosen.validation == 0 or round(chosen.validation * rows) >= 1


def test_more_rows_are_worth_larger_nets_and_more_updates() -> None:
    chosen = [Defaults.of(rows, 30) for rows in ROWS]
    updates = [each.max_epochs * ceil(rows / each.batch_size) for each, rows in zip(chosen, ROWS, strict=True)]
    assert updates == sorted(updates)
    for name in ("latent", "batch_size"):
        values = [getattr(each, name) for each in chosen]
        assert values == sorted(values), name
    sizes = [sum(each.hidden) for each in chosen]
    assert sizes == sorted(sizes)


def test_a_million_rows_are_not_seen_for_ever() -> None:
    many = Defaults.of(10**6, 100)
    assert many.max_epochs * 10**6 / many.batch_size < 50_000
    assert round(many.validation * 10**6) == 10_000


def test_very_few_rows_are_not_learnt_by_heart() -> None:
    assert Defaults.of(5, 3).max_epochs <= 100


def test_what_tells_little_takes_few_latents() -> None:
    assert Defaults.of(10**4, 20, ["binary"] * 20).latent < Defaults.of(10**4, 20, ["numeric"] * 20).latent
    assert Defaults.of(10**4, 2, ["constant", "numeric"]).latent == 1


@pytest.mark.parametrize("rows", [20, 999])
def test_where_labels_are_few_no_row_is_held_out_and_even_few_rows_are_learned(rows: int) -> None:
    chosen = Defaults.of_labels(rows, 30)
    assert chosen.validation == 0
    assert chosen.max_epochs * ceil(rows / chosen.batch_size) >= 800
    assert Defaults.of_labels(1000, 30) == Defaults.of(1000, 30)


@pytest.mark.parametrize("of", [Defaults.of, Defaults.of_labels])
def test_every_choice_is_said_with_its_reason(of: Callable[[int, int], Defaults]) -> None:
    chosen = of(150, 4)
    said = dict(line.split(" = ", 1) for line in chosen.words)
    assert set(said) == {field.name for field in fields(Defaults)} - {"words"}
    for name, line in said.items():
        value, reason = line.split(": ", 1)
        assert value == str(getattr(chosen, name))
        assert len(reason) > len("because")


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (3, 0)])
def test_a_table_of_nothing_is_refused(rows: int, columns: int) -> None:
    with pytest.raises(UsageError, match="at least one of each"):
        Defaults.of(rows, columns)
