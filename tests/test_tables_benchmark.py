"""What benchmarks/tables.py says of a method: its measures have the values that can be known beforehand."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _on_the_path() -> None:
    sys.path.insert(0, str(BENCHMARKS))


def task(name: str) -> ModuleType:
    return import_module(f"tabular.{name}")


def linked(size: int, seed: int) -> pd.DataFrame:
    """Two columns that say the same, in words and in numbers, and one by itself."""
    random = np.random.default_rng(seed)
    side = random.random(size) < 0.5
    return pd.DataFrame({
        "number": np.where(side, 5.0, -5.0) + random.normal(size=size),
        "word": np.where(side, "up", "down"),
        "alone": random.normal(size=size),
        "income": np.where(side, ">50K", "<=50K"),
    })  # fmt: skip


def test_half_of_the_cells_are_hidden_and_other_ones_by_each_seed() -> None:
    completion = task("completion")
    one, other = (completion.hidden((1000, 10), seed) for seed in (0, 1))
    assert abs(one.mean() - 0.5) < 5 * 0.5 / 100
    assert abs((one == other).mean() - 0.5) < 5 * 0.5 / 100


def test_only_what_was_hidden_counts_in_the_error_and_the_coverage() -> None:
    completion = task("completion")
    x, holes = np.zeros((2, 2)), np.array([[True, False], [True, False]])
    told = np.array([[1.0, 9.0], [3.0, 9.0]])
    assert completion.error(x, told, holes) == 5.0
    assert completion.covered(x, completion.Completed(told, told - 2, told + 2), holes) == 0.5


def test_the_mean_is_as_far_off_as_a_standardised_column_varies() -> None:
    completion = task("completion")
    x = np.random.default_rng(0).normal(size=(4000, 5))
    figures = completion.measured(x, lambda seed: completion.hidden(x.shape, seed), completion.METHODS["mean"], [0])
    assert abs(figures["mse"][0] - 1) < 5 * np.sqrt(2 / 10_000)


def test_levels_numbers_and_orders_are_each_wrong_in_their_own_measure() -> None:
    off = task("mixed").off
    levels = pd.Series(["a", "b", "c", "c"], dtype="category")
    order = levels.astype(pd.CategoricalDtype(["a", "b", "c"], ordered=True))
    told = pd.Series(["a", "a", "a", "c"])
    assert off(levels, told, "cat") == 0.5
    assert off(order, told, "ordinal") == pytest.approx((1 + 2) / 4 / 3)
    assert off(pd.Series([0.0, 3.0]), pd.Series([4.0, 0.0]), "real") == pytest.approx(np.sqrt(25 / 2))


def test_only_normal_rows_are_learnt_from_and_no_row_twice() -> None:
    x = np.arange(100.0)[:, None]
    odd = x[:, 0] % 10 == 0
    split = task("anomalies").normal_only(x, odd)
    assert (len(split.train), len(split.test), split.odd.sum()) == (45, 55, 10)
    assert not set(split.train[:, 0]) & set(split.test[:, 0])
    assert split.train.mean() == pytest.approx(0)


@pytest.mark.parametrize("name", ["IsolationForest", "LOF", "OneClassSVM", "k-NN(5)"])
@pytest.mark.parametrize("protocol", ["normal_only", "contaminated"])
def test_rows_far_from_all_others_are_told_by_every_method(name: str, protocol: str) -> None:
    anomalies = task("anomalies")
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=(300, 3)), random.normal(size=(5, 3)) * 30])
    split = getattr(anomalies, protocol)(x, np.arange(305) >= 300)
    assert anomalies.auroc(split, anomalies.METHODS[name], 0) > 95


def test_columns_shuffled_keep_their_own_distribution_and_lose_every_pair() -> None:
    synthetic = task("synthetic")
    real = linked(4000, 0)
    same, shuffled = (synthetic.METHODS[name].learn(real, 0)(1) for name in ("the real rows", "independent columns"))
    noise = 5 / np.sqrt(4000)
    assert max(synthetic.column_error(real, each) for each in (same, shuffled)) < noise
    assert synthetic.pair_error(real, same) < noise
    lost = synthetic.pair_error(real[["word", "income"]], shuffled[["word", "income"]])
    assert lost == pytest.approx(0.5, abs=noise)  # half of all rows are where no real one is
    assert synthetic.told_apart(linked(4000, 1), shuffled, 0) > 0.8
    assert abs(synthetic.told_apart(linked(4000, 1), linked(4000, 2), 0) - 0.5) < 0.06


def test_copies_are_seen_and_fresh_rows_are_no_nearer_to_the_training_rows() -> None:
    synthetic = task("synthetic")
    train, holdout, fresh = (linked(2000, seed) for seed in range(3))
    nearer, copies, chance = synthetic.nearness(train, holdout, train)
    assert (nearer, copies, chance) == (1.0, 1.0, 0.0)
    assert abs(synthetic.nearness(train, holdout, fresh)[0] - 0.5) < 5 * 0.5 / np.sqrt(2000)


def test_a_row_between_two_of_a_class_is_of_that_class_and_no_copy() -> None:
    synthetic = task("synthetic")
    real = linked(500, 0)
    made = synthetic.METHODS["interpolation"].learn(real, 0)(1)
    assert set(zip(made["word"], made["income"], strict=True)) == {("up", ">50K"), ("down", "<=50K")}
    assert set(made["income"]) == set(real["income"])


def test_a_tenth_has_labels_and_every_class_at_least_one() -> None:
    y = np.repeat([0, 1, 2], [100, 20, 3])
    labels = task("labels").few(y, 0)
    assert [int((labels == label).sum()) for label in (0, 1, 2, -1)] == [10, 2, 1, 110]
    assert (labels[labels >= 0] == y[labels >= 0]).all()


def test_what_has_a_record_is_not_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(import_module("records"), "RESULTS", tmp_path)
    tables = import_module("tables")
    monkeypatch.setattr(sys, "argv", ["tables.py", "labels", "--sets", "Soybean", "--methods", "one", "two"])
    calls: list[str] = []

    class Counting:
        name, sets, methods = "labels", ("Soybean",), {"one": "one", "two": "two"}

        def measure(self, on: str, method: str) -> dict[str, list[float]]:
            calls.append(method)
            if method == "two":
                raise ValueError("no")
            return {"error": [1.0]}

    monkeypatch.setattr(tables, "TASKS", {"labels": Counting()})
    tables.main()
    tables.main()
    (record,) = import_module("records").read("tables")
    assert calls == ["one", "two"]
    assert record["methods"]["one"]["error"] == [1.0]
    assert record["methods"]["two"]["failed"] == "ValueError: no"
