"""The report on a table: its columns as they are and as they are made up, and its rows in words."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from report_cases import Case
from report_pages import Page, section

from vaekit.data.tables import Column, infer
from vaekit.data.tables.rows import table_rows
from vaekit.evaluate import Activity
from vaekit.families.columns import Marginal
from vaekit.report.cells import Cells, in_words
from vaekit.report.opening import opening
from vaekit.report.sections.columns import bins, is_skewed, law, shares_of_levels
from vaekit.report.sections.worst import worst_rows
from vaekit.tabular import fit_table


@cache
def people() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "height": draw.normal(1.7, 0.1, 150).round(2),
            "town": draw.choice(["Ulm", "Bonn", "a place & a <very> long name of it"], 150),
            "kids": draw.poisson(1.5, 150),
            "age": np.where(draw.random(150) > 0.2, draw.integers(20, 80, 150), np.nan),
        }
    )


@cache
def table() -> Case:
    """A table with a hole in some rows, and a name that is no HTML."""
    every = table_rows(people(), name="people")
    fitted = fit_table(every.take(range(100)), max_epochs=3, verbose=False)
    test = every.take(range(100, 150))
    return Case(fitted, test, fitted.evaluate(test, samples=8))


@cache
def page() -> str:
    return table().page()


def grid(key: str) -> list[list[str]]:
    """The rows of a section's table, without its head and its groups' titles."""
    rows = section(page(), key).split("<tr")[1:]
    return [
        [cell for cell in Page(f"<tr{row.split('</tr>')[0]}</tr>").words if cell.strip()]
        for row in rows
        if "<td" in row
    ]


def test_a_table_is_told_by_its_columns_and_rows() -> None:
    shown = [attributes["id"] for attributes in Page(page()).all("section")]
    wanted = ["curves", "columns", "reconstructions", "samples", "interpolations", "traversals", "codes", "worst"]
    assert shown == [*wanted, "settings"]


def test_made_up_rows_stand_above_real_ones_in_their_own_words() -> None:
    subject, found = table().subject, grid("samples")
    made_up, real = found[:12], found[12:]
    drawn = table().fitted.sample(12, seed=0)
    assert [row[0] for row in made_up] == [f"{height:.2f}" for height in drawn["height"]]
    assert [row[2] for row in made_up] == [f"{kids:.0f}" for kids in drawn["kids"]]
    chosen = people().iloc[100 + subject.order[:12]]
    assert [row[0] for row in real] == [f"{height:.2f}" for height in chosen["height"]]
    assert [row[3] for row in real] == ["–" if age != age else f"{age:.0f}" for age in chosen["age"]]
    assert "–" in {row[3] for row in real}
    assert "a place & a <very> lo…" in Page(section(page(), "samples")).words


def test_each_reconstruction_is_below_its_original() -> None:
    found, subject = grid("reconstructions"), table().subject
    rows = table().test.take(subject.order[:8])
    right = Cells(table().test.schema).lines(subject.fitted.reconstruct(rows))  # type: ignore[arg-type]
    assert [tuple(row) for row in found[1::2]] == [line.cells for line in right]
    assert found[0][0] == f"{float(rows.x[0, 0]):.2f}"


def test_traversals_go_through_the_expected_row() -> None:
    found, subject = grid("traversals"), table().subject
    assert [row[0] for row in found[:5]] == ["−3.0 σ", "−1.5 σ", "0.0 σ", "1.5 σ", "3.0 σ"]
    activity: Activity = subject.activity
    first = activity.ranking[0]
    row = table().test.take(subject.evaluation.row_scores.argsort()[25:26])
    ways = table().fitted.traverse(row, coordinates=[first], steps=5)
    assert [cells[1] for cells in found[:5]] == [f"{height:.2f}" for height in ways["height"]]


def test_the_worst_rows_are_those_of_the_least_score() -> None:
    found, scores = grid("worst"), table().evaluation.row_scores
    rows = worst_rows(scores, 12)
    assert [row[0] for row in found] == [f"{float(scores[at]):.1f}".replace("-", "−") for at in rows]
    heights = table().test.x[rows, 0]
    assert [row[1] for row in found] == [f"{float(height):.2f}" for height in heights]


def test_columns_are_drawn_with_their_kind_their_law_and_what_is_missing() -> None:
    shown = section(page(), "columns")
    text = Page(shown).text
    assert shown.count("<svg") == 4
    missing = table().test.x[:, 3].isnan().double().mean()
    assert f"{100 * missing:.0f} % missing" in text
    for words in ("height", "town", "numeric: normal", "categorical", "made up by the model"):
        assert words in text


def test_shares_of_levels_are_counted_and_the_rare_are_pooled() -> None:
    real = np.repeat(np.arange(12.0), np.arange(12, 0, -1))
    shown, seen, drawn = shares_of_levels(12, real, np.array([11.0, 0.0]))
    assert shown == list(range(9))
    assert seen.sum() == pytest.approx(1)
    assert seen[-1] == pytest.approx((3 + 2 + 1) / 78)
    assert drawn.tolist() == [0.5, *[0.0] * 8, 0.5]
    assert shares_of_levels(3, np.array([2.0, 2.0, 0.0]), real, ordered=True)[0] == [0, 1, 2]


def test_bins_hold_all_but_the_outermost_cells() -> None:
    cells = np.random.default_rng(0).normal(size=2000)
    edges = bins(Column("x", "numeric"), cells)
    assert ((cells >= edges[0]) & (cells <= edges[-1])).mean() == pytest.approx(0.99, abs=0.002)
    incomes = np.exp(np.random.default_rng(0).normal(9, 1.5, 2000))
    column = Column("income", "positive")
    assert is_skewed(column, incomes)
    assert np.ptp(np.diff(np.log(bins(column, incomes)))) < 1e-9


@pytest.mark.parametrize(
    ("kind", "values"), [("numeric", []), ("count", []), ("numeric", [3.0]), ("positive", [2.0, 2.0])]
)
def test_columns_of_hardly_any_cells_have_bins_too(kind: str, values: list[float]) -> None:
    edges = bins(Column("x", kind), np.array(values))
    assert (np.diff(edges) > 0).all()
    assert len(edges) > 1


def test_laws_and_cells_have_words() -> None:
    assert law(Marginal("student_t")) == "student t"
    assert law(Marginal("normal", warp="log")) == "normal of the logarithm"
    assert in_words(pd.Timestamp("1969-07-20")) == "1969-07-20"
    assert in_words(True) == "True"
    assert in_words(pd.NaT) == "–"
    assert in_words(-0.5, 2) == "−0.50"


def test_of_many_columns_the_first_are_shown() -> None:
    wide = infer(pd.DataFrame(np.random.default_rng(0).normal(size=(40, 30)), columns=[f"c{at}" for at in range(30)]))
    cells = Cells(wide)
    assert cells.names == tuple(f"c{at}" for at in range(12))
    assert "The first 12 of 30 columns" in cells.note
    assert len(cells.lines(torch.zeros(2, 30))[0].cells) == 12


def test_of_a_table_whose_codes_say_nothing_the_columns_are_named_as_a_mend() -> None:
    subject = table().subject
    unused = replace(subject, evaluation=replace(subject.evaluation, activity={}))
    said = [caution.why for caution in opening(unused).cautions if caution.what == "no latent is in use"]
    assert len(said) == 1
    assert "leave columns of many levels out" in said[0]
