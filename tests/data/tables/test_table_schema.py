from __future__ import annotations

import datetime as dt
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from vaekit.common.errors import DataError, UsageError
from vaekit.data.tables import Constant, Dates, Levels, Numbers, Role, Schema, infer
from vaekit.data.tables.rows import row_of

CELLS: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**23), 2**23),
    "large": st.integers(2**40, 2**40 + 2**22),
    "small": st.integers(0, 6),
    "tenths": st.integers(-99_999, 99_999).map(lambda x: round(x / 10, 1)),
    "float": st.floats(-(2.0**60), 2.0**60, width=32).filter(lambda each: each == 0 or abs(each) > 1e-20),
    "text": st.sampled_from(["", "red", "Blau", "vert ", "NA", "ümlaut", "1a"]),
    "truth": st.booleans(),
    "day": st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)).map(pd.Timestamp),
}
"""Cells of a column, each sort such that float32 holds it exactly."""


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """A frame of several columns of these sorts, with holes."""
    n = draw(st.integers(2, 30))
    sorts = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=5))
    columns = {}
    for place, sort in enumerate(sorts):
        holes = st.none() if draw(st.booleans()) else CELLS[sort]
        cells = draw(st.lists(st.one_of(CELLS[sort], holes), min_size=n, max_size=n))
        columns[f"{sort}{place}"] = pd.Series(cells, dtype=object).infer_objects()
    return pd.DataFrame(columns)


def schema_of(frame: pd.DataFrame) -> Schema | None:
    """The schema; None where no column varies."""
    varied = any(frame[name].nunique() > 1 for name in frame)
    try:
        return infer(frame)
    except DataError:
        if varied and not all(name.startswith("text") for name in frame if frame[name].nunique() > 1):
            raise
        return None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames())
def test_what_was_observed_comes_back_whatever_the_table(frame: pd.DataFrame) -> None:
    schema = schema_of(frame)
    if schema is None:
        return
    x = schema.encode(frame)
    assert x.dtype == torch.float32
    assert x.shape == (len(frame), len(schema.modelled))
    back = schema.decode(x)
    for place, column in enumerate(schema.modelled):
        seen = frame[column.name].notna().to_numpy()
        assert np.array_equal(~torch.isnan(x[:, place]).numpy(), seen)
        assert list(back[column.name][seen]) == list(frame[column.name][seen]), column
        assert back[column.name][~seen].isna().all()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames())
def test_a_frame_decoded_like_itself_is_itself(frame: pd.DataFrame) -> None:
    schema = schema_of(frame)
    if schema is not None:
        modelled = [column.name for column in schema.modelled]
        again = schema.decode(schema.encode(frame), like=frame)
        assert list(again) == list(frame)
        assert_frame_equal(again[modelled], frame[modelled])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames())
def test_a_schema_in_a_file_is_the_same_schema(frame: pd.DataFrame) -> None:
    schema = schema_of(frame)
    if schema is not None:
        read = Schema.from_toml(schema.to_toml())
        assert read == schema
        assert Schema.from_toml(schema.to_toml(), frame) == schema
        assert torch.equal(read.encode(frame).nan_to_num(-7), schema.encode(frame).nan_to_num(-7))


def kinds(**columns: Any) -> dict[str, str]:
    return {column.name: column.kind for column in infer(pd.DataFrame(columns))}


def test_each_kind_is_recognised_by_what_is_in_the_column() -> None:
    rng = np.random.default_rng(0)
    n = 300
    assert kinds(
        age=rng.integers(17, 90, n),
        temperature=rng.normal(size=n),
        visits=rng.negative_binomial(1, 0.3, n),
        grade=rng.integers(1, 6, n),
        smokes=rng.choice(["no", "yes"], n),
        flag=rng.integers(0, 2, n),
        town=rng.choice(["Ulm", "Bonn", "Trier"], n),
        size=pd.Categorical(rng.choice(["S", "M", "L"], n), categories=["S", "M", "L"], ordered=True),
        born=pd.Timestamp("1950-03-01") + pd.to_timedelta(rng.integers(0, 20_000, n), unit="D"),
        visited=[f"2024-01-{day:02d}" for day in rng.integers(1, 29, n)],
        person_id=rng.permutation(n),
        name=[f"person {row}" for row in range(n)],
        planet="Earth",
        nothing=None,
        gain=np.where(rng.random(n) < 0.9, 0, rng.integers(1000, 99999, n)),
        year=rng.integers(1872, 2011, n),
    ) == {
        "age": "positive",
        "temperature": "numeric",
        "visits": "count",
        "grade": "ordinal",
        "smokes": "binary",
        "flag": "binary",
        "town": "categorical",
        "size": "ordinal",
        "born": "datetime",
        "visited": "datetime",
        "person_id": "identifier",
        "name": "identifier",
        "planet": "constant",
        "nothing": "constant",
        "gain": "numeric",
        "year": "numeric",
    }


def test_levels_are_in_the_declared_order_else_by_the_alphabet_or_by_size() -> None:
    declared = pd.Categorical(["L", "S", "L"], categories=["S", "M", "L"])
    schema = infer(pd.DataFrame({"size": declared, "town": ["Ulm", "Bonn", "Ulm"], "pair": [7, 3, 7]}))
    assert [column.levels for column in schema] == [("S", "M", "L"), ("Bonn", "Ulm"), (3, 7)]


def test_ten_thousand_levels_take_no_more_room_than_numbers() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"shop": [f"shop {number}" for number in rng.integers(0, 10_000, 30_000)]})
    schema = infer(frame)
    assert schema["shop"].kind == "categorical"
    assert len(schema["shop"].levels) > 9_000
    assert schema.encode(frame).shape == (30_000, 1)
    assert_frame_equal(schema.decode(schema.encode(frame)), frame)


def test_numbers_that_lie_close_together_far_from_zero_are_told_apart() -> None:
    frame = pd.DataFrame({"second": np.arange(1_700_000_000, 1_700_000_400, 4), "x": [*range(-50, 50)]})
    column = infer(frame)["second"]
    assert isinstance(column.code, Numbers)
    assert column.code.origin != 0
    assert_frame_equal(infer(frame).decode(infer(frame).encode(frame)), frame)


def test_decoded_numbers_are_rounded_and_kept_in_the_range_that_was_seen() -> None:
    schema = infer(pd.DataFrame({"visits": [0, 1, 40, 0], "height": [1.65, 1.78, 1.9, 0.5]}))
    x = torch.tensor([[2.4, 1.7849], [-3.0, 9.0], [77.0, -1.0]])
    back = schema.decode(x)
    assert back["visits"].tolist() == [2, 0, 40]
    assert back["height"].tolist() == [1.78, 1.9, 0.5]
    assert back["visits"].dtype == np.int64


def test_a_completed_table_keeps_every_observed_cell_to_the_last_digit() -> None:
    frame = pd.DataFrame({"name": ["Ada", "Alan", "Emmy"], "x": [np.pi, np.nan, -np.e], "town": ["Ulm", "Bonn", None]})
    frame.index = pd.Index([10, 20, 30])
    schema = infer(frame)
    x = schema.encode(frame)
    filled = schema.decode(x.where(~x.isnan(), torch.tensor([0.5, 1.0])), like=frame)
    assert filled["x"].tolist() == [np.pi, 0.5, -np.e]
    assert filled["town"].tolist() == ["Ulm", "Bonn", "Ulm"]
    assert filled["name"].tolist() == ["Ada", "Alan", "Emmy"]
    assert filled.index.tolist() == [10, 20, 30]


def test_constants_are_restored_and_identifiers_come_from_the_frame_it_is_like() -> None:
    frame = pd.DataFrame({"id": [3, 1, 2], "planet": ["Earth", None, "Earth"], "x": [0.5, -1.0, 2.0]})
    schema = infer(frame)
    assert isinstance(schema["planet"].code, Constant)
    assert list(schema.decode(schema.encode(frame))) == ["planet", "x"]
    again = schema.decode(schema.encode(frame), like=frame)
    assert again["id"].tolist() == [3, 1, 2]
    assert again["planet"].tolist() == ["Earth"] * 3


@pytest.mark.parametrize(
    "dtype", ["int8", "uint16", "int64", "Int32", "UInt8", "float32", "float64", "Float64", "object", "str", "string"]
)
def test_the_type_of_a_column_is_restored(dtype: str) -> None:
    cells = pd.Series([3, 5, 8, 3, 9], name="x").astype(dtype)
    frame = pd.DataFrame({"x": cells, "y": [0.5, -1.5, 2.5, 1.0, 0.0]})
    schema = infer(frame)
    assert_frame_equal(schema.decode(schema.encode(frame)), frame)


@pytest.mark.parametrize("cells", [[True, False, None], pd.array([True, False, None], dtype="boolean")])
def test_truth_values_with_holes_are_binary(cells: Any) -> None:
    frame = pd.DataFrame({"x": cells})
    schema = infer(frame)
    assert (schema["x"].kind, schema["x"].levels) == ("binary", (False, True))
    assert schema.decode(schema.encode(frame))["x"].tolist()[:2] == [True, False]


def test_categories_come_back_with_their_order_and_the_ones_that_are_never_seen() -> None:
    cells = pd.Categorical(["low", None, "high"], categories=["low", "middle", "high"], ordered=True)
    frame = pd.DataFrame({"x": cells, "one": pd.Categorical(["a", "a", "a"], categories=["b", "a"])})
    schema = infer(frame)
    assert schema.encode(frame)[:, 0].nan_to_num(-1).tolist() == [0.0, -1.0, 2.0]
    assert_frame_equal(schema.decode(schema.encode(frame)), frame)


def test_a_column_that_is_all_missing_is_restored_as_such() -> None:
    frame = pd.DataFrame({"x": [0.5, -1.0], "empty": [np.nan, np.nan], "none": [None, None]})
    schema = infer(frame)
    assert [column.kind for column in schema] == ["numeric", "constant", "constant"]
    back = schema.decode(schema.encode(frame))
    assert back["empty"].isna().all()
    assert back["none"].isna().all()
    assert back["empty"].dtype == np.float64


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_before_1970_and_of_any_zone_come_back(zone: str | None, unit: str) -> None:
    dates = pd.to_datetime(["1901-12-13", "1969-07-20", "1970-01-01", None, "2024-03-31"])
    frame = pd.DataFrame({"when": dates.tz_localize(zone).as_unit(unit), "x": [0.5, -1.0, 2.0, 1.0, 0.0]})
    schema = infer(frame)
    assert schema["when"].kind == "datetime"
    assert_frame_equal(schema.decode(schema.encode(frame)), frame)


def test_dates_are_days_since_the_origin() -> None:
    frame = pd.DataFrame({"when": pd.to_datetime(["1969-07-20 00:00", "1969-07-21 00:00", "1969-07-24 12:00"])})
    schema = infer(frame)
    code = schema["when"].code
    assert isinstance(code, Dates)
    assert (code.origin, code.unit) == ("1969-07-22", "h")
    assert schema.encode(frame).squeeze(1).tolist() == [-2.0, -1.0, 2.5]


def test_dates_as_objects_and_as_text_are_dates_and_text_stays_text() -> None:
    objects = [dt.datetime(1960, 1, 1), dt.datetime(1999, 12, 31), None]
    frame = pd.DataFrame({"o": pd.Series(objects, dtype=object), "t": ["31.12.1959", None, "01.02.1960"]})
    schema = infer(frame)
    assert [column.kind for column in schema] == ["datetime", "datetime"]
    assert schema.decode(schema.encode(frame))["t"].tolist()[0] == "31.12.1959"
    assert schema.decode(schema.encode(frame))["o"].tolist()[:2] == objects[:2]


def test_where_day_and_month_could_be_either_it_is_said() -> None:
    said = infer(pd.DataFrame({"when": ["01/02/2020", "03/04/2020"]}))["when"].remark
    assert "%m/%d/%Y" in said
    assert "%d/%m/%Y" in said
    sure = infer(pd.DataFrame({"when": ["01/02/2020", "31/04/2020", "31/03/2020"][::2]}))["when"]
    assert sure.remark == ""
    assert isinstance(sure.code, Dates)
    assert sure.code.text == "%d/%m/%Y"


@pytest.mark.parametrize(
    ("cells", "template", "number"),
    [
        (["1,234", "12,000", "7"], "{:,.0f}", 12_000.0),
        (["12%", "7%", "30%"], "{}%", 30.0),
        (["$1,234.50", "$3.00", "$17.25"], "${:,.2f}", 1234.5),
        (["-1.5", "2.5", "10.5"], "{:.1f}", 10.5),
    ],
)
def test_numbers_that_are_written_as_text_are_numbers_and_are_written_the_same_way(
    cells: list[str], template: str, number: float
) -> None:
    frame = pd.DataFrame({"x": cells})
    schema = infer(frame)
    code = schema["x"].code
    assert isinstance(code, Numbers)
    assert (code.text, code.high) == (template, number)
    assert_frame_equal(schema.decode(schema.encode(frame)), frame)


def test_text_with_leading_zeros_is_a_code_and_no_number() -> None:
    codes = [f"{number:05d}" for number in range(700, 12_000, 100)]
    assert kinds(zip_code=codes * 3, x=range(len(codes) * 3)) == {"zip_code": "categorical", "x": "numeric"}


def refusal(frame: Any, schema: Schema | None = None) -> str:
    """What is said of a table that is refused: one line."""
    with pytest.raises((DataError, UsageError)) as caught:
        _ = infer(frame) if schema is None else schema.encode(frame)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_text_among_numbers_is_refused_by_row_column_and_cell() -> None:
    cells = [str(number) for number in range(100)]
    cells[37] = "n.a."
    said = refusal(pd.DataFrame({"income": cells, "x": range(100)}))
    assert all(word in said for word in ("'income'", "row 37", "'n.a.'"))


def test_a_few_values_of_which_one_is_no_number_are_levels() -> None:
    assert kinds(children=["0", "1", "2", "3 or more"] * 5) == {"children": "categorical"}


def test_text_of_which_many_cells_are_no_numbers_is_text() -> None:
    tickets = [f"A/5 {number}" if number % 4 == 0 else str(number) for number in range(1000, 1100)]
    assert kinds(ticket=tickets, x=range(100))["ticket"] == "identifier"


def test_decimal_commas_in_a_frame_are_refused() -> None:
    said = refusal(pd.DataFrame({"height": [f"1,{number}" for number in range(10, 60)]}))
    assert "'height'" in said
    assert "row 0" in said


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinity_is_refused_by_row_and_column(value: float) -> None:
    said = refusal(pd.DataFrame({"x": [0.5, 1.5, value, np.nan]}))
    assert "column 'x', row 2" in said
    schema = infer(pd.DataFrame({"x": [0.5, -1.5, 2.0]}))
    assert "column 'x', row 1" in refusal(pd.DataFrame({"x": [0.5, value]}), schema)


def test_a_column_of_one_infinity_is_refused_too() -> None:
    assert "column 'x', row 1" in refusal(pd.DataFrame({"x": [np.nan, np.inf, np.nan], "y": [0.5, -1.0, 2.0]}))


def test_numbers_that_vanish_in_float32_are_refused() -> None:
    assert "column 'x'" in refusal(pd.DataFrame({"x": [1e-60, -1e-60, 3e-50]}))


def test_days_as_objects_come_back_as_days() -> None:
    days = [dt.date(1950, 1, 1), dt.date(2000, 1, 1), None]
    frame = pd.DataFrame({"x": pd.Series(days, dtype=object), "y": [0.5, -1.0, 2.0]})
    schema = infer(frame)
    assert schema.decode(schema.encode(frame))["x"].tolist() == days
    assert_frame_equal(schema.decode(schema.encode(frame), like=frame), frame)


def test_a_table_without_columns_is_refused() -> None:
    assert "no columns" in refusal(pd.DataFrame(index=[1, 2, 3]))


def test_a_number_too_large_for_float32_is_refused() -> None:
    assert "column 'x', row 1" in refusal(pd.DataFrame({"x": [0.5, 1e300, -2.0]}))


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_are_refused(rows: int) -> None:
    assert f"{rows} row" in refusal(pd.DataFrame({"x": [0.5] * rows}))


def test_a_table_without_anything_to_model_is_refused() -> None:
    said = refusal(pd.DataFrame({"name": ["a", "b", "c"], "planet": ["Earth"] * 3}))
    assert "'name' is identifier" in said
    assert "'planet' is constant" in said


def test_columns_of_one_name_are_refused() -> None:
    said = refusal(pd.DataFrame([[1, 2, 3], [4, 5, 6]], columns=["a", "b", "a"]))
    assert "columns 1 and 3" in said
    assert "'a'" in said


@pytest.mark.parametrize(
    "cells",
    [
        pd.to_timedelta([1, 2, 3], unit="D"),
        [[1], [2], [3]],
        [1, "two", 3],
        [1 + 2j, 3j, 4],
        pd.cut([1, 2, 3], 2),
    ],
)
def test_what_a_table_cannot_hold_is_refused_by_name(cells: Any) -> None:
    assert "'odd'" in refusal(pd.DataFrame({"x": [0.5, -1.0, 2.0], "odd": cells}))


TRAINED = pd.DataFrame({"town": ["Ulm", "Bonn", "Trier", "Ulm"], "visits": [0, 3, 17, 0], "size": [1.5, 7.0, 2.0, 3.0]})


def test_an_unseen_level_is_named_with_the_nearest_known_one() -> None:
    said = refusal(TRAINED.assign(town=["Ulm", "Trierr", "Bonn", "Rome"]), infer(TRAINED))
    assert all(word in said for word in ("'town'", "row 1", "'Trierr'", "did you mean 'Trier'?"))


@pytest.mark.parametrize(
    ("column", "value", "word"), [("visits", -1, "whole number"), ("visits", 0.5, "whole"), ("size", 0.0, "above 0")]
)
def test_a_number_that_the_kind_cannot_hold_is_named(column: str, value: float, word: str) -> None:
    frame = TRAINED.assign(**{column: [1, 2, value, 3]})
    said = refusal(frame, infer(TRAINED))
    assert f"column {column!r}, row 2" in said
    assert word in said


def test_a_missing_column_and_a_new_one_are_named() -> None:
    schema = infer(TRAINED)
    assert "column 'visits' is missing: did you mean 'visit'" in refusal(
        TRAINED.rename(columns={"visits": "visit"}), schema
    )
    assert "column 'sizes' is new: did you mean 'size'" in refusal(TRAINED.assign(sizes=1), schema)
    assert "column 'SIZE' is new: did you mean 'size'" in refusal(TRAINED.assign(SIZE=1), schema)
    assert "column 'qqqq' is new: drop it" in refusal(TRAINED.assign(qqqq=1), schema)


def test_columns_are_found_by_name_and_text_by_what_it_says() -> None:
    schema = infer(TRAINED)
    assert torch.equal(schema.encode(TRAINED[["size", "town", "visits"]]), schema.encode(TRAINED))
    assert torch.equal(schema.encode(TRAINED.astype({"visits": str})), schema.encode(TRAINED))
    graded = pd.DataFrame({"grade": ["1", "2", "3+"] * 3})
    assert infer(graded).encode(pd.DataFrame({"grade": [2, 1]})).squeeze(1).tolist() == [1.0, 0.0]


def test_text_in_a_column_of_numbers_is_named_at_use() -> None:
    said = refusal(TRAINED.assign(visits=["1", "many", "2", "3"]), infer(TRAINED))
    assert "column 'visits', row 1 holds 'many'" in said


def test_labels_and_ignored_columns_are_not_modelled() -> None:
    schema = infer(TRAINED).with_roles(label="town", ignore=["size"])
    assert [column.name for column in schema.modelled] == ["visits"]
    assert schema.label == schema["town"]
    labels = schema.labels(TRAINED.assign(town=["Ulm", None, "Bonn", "Trier"]))
    assert labels is not None
    assert labels.tolist() == [2, -1, 0, 1]
    assert schema.labels(TRAINED.drop(columns="town")) is None
    assert schema.encode(TRAINED.drop(columns=["town", "size"])).shape == (4, 1)
    assert_frame_equal(schema.decode(schema.encode(TRAINED), like=TRAINED), TRAINED)
    assert Schema.from_toml(schema.to_toml()).label == schema.label
    with pytest.raises(UsageError, match="did you mean 'town'"):
        infer(TRAINED).with_roles(label="twon")


def test_a_schema_is_edited_by_hand_and_the_rest_is_taken_from_the_table() -> None:
    edited = Schema.from_toml('[columns.visits]\nkind = "ordinal"\n\n[columns.size]\nrole = "ignore"\n', TRAINED)
    assert edited["visits"].code == Levels((0, 3, 17), ordered=True)
    assert edited["size"].role is Role.IGNORE
    assert edited["town"] == infer(TRAINED)["town"]
    turned = infer(TRAINED).to_toml().replace('kind = "positive"', 'kind = "numeric"')
    assert Schema.from_toml(turned, TRAINED)["size"].kind == "numeric"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[columns.visits", ["no TOML"]),
        ('[columns.visit]\nkind = "count"', ["'visit'", "did you mean 'visits'"]),
        ('[columns.visits]\nkind = "counts"', ["'visits'", "did you mean 'count'"]),
        ('[columns.visits]\nknid = "count"', ["'visits'", "did you mean 'kind'"]),
        ('[columns.visits]\nrole = "lable"', ["'visits'", "did you mean 'label'"]),
        ('[columns.town]\nkind = "count"', ["'town'", "'Ulm'", "no number"]),
        ('[columns.town]\nlevels = ["Ulm", "Bonn"]', ["'town'", "row 2", "'Trier'"]),
        ('[columns.town]\nlevels = ["Ulm", "Ulm"]', ["'town'", "twice"]),
        ('[columns.visits]\nkind = "positive"', ["'visits'", "row 0", "above 0"]),
        ('[columns.town]\nkind = "datetime"', ["'town'", "row 0", "no date"]),
        ('[columns.town]\nkind = "constant"', ["'town'", "3 values"]),
        ("[town]\nlevels = []", ["'town'", "[columns.town]"]),
        ('[columns]\ntown = "count"', ["'town'", "[columns.town]"]),
        ('library = "panda"', ["did you mean 'pandas'"]),
    ],
)
def test_a_schema_that_does_not_fit_is_refused_in_one_line(text: str, words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        Schema.from_toml(text, TRAINED)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[columns.x]\nlow = 0", "no kind"),
        ('[columns.x]\nkind = "ordinal"', "lacks levels"),
        ('[columns.x]\nkind = "datetime"', "origin"),
    ],
)
def test_without_the_table_a_schema_must_be_whole(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Schema.from_toml(text)


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(UsageError, match="3 columns"):
        infer(TRAINED).decode(torch.zeros(4, 2))


def test_the_summary_says_what_a_person_wants_to_know() -> None:
    rows = infer(TRAINED.assign(size=[1.5, None, 2.0, 3.0], name=["a", "b", "c", "d"])).summary()
    assert [(row.name, row.kind, row.missing) for row in rows] == [
        *(
            ("town", "categorical", ""),
            ("visits", "count", ""),
            ("size", "positive", "25 %"),
            ("name", "identifier", ""),
        ),
    ]
    assert [row.values for row in rows[:3]] == ["3: Bonn, Trier, Ulm", "0 to 17", "1.5 to 3"]


def test_hundreds_of_thousands_of_rows_take_a_second_and_not_minutes() -> None:
    rng = np.random.default_rng(0)
    n = 200_000
    words = np.array([f"level {number}" for number in range(1000)], dtype=object)
    frame = pd.DataFrame(
        {f"t{place}": words[rng.integers(0, 1000, n)] for place in range(3)}
        | {f"x{place}": rng.normal(size=n).round(3) for place in range(5)}
        | {"when": pd.Timestamp("1960-01-01") + pd.to_timedelta(rng.integers(0, 20_000, n), unit="D")}
    )
    schema = infer(frame)
    start = time.perf_counter()
    schema.encode(frame)
    assert time.perf_counter() - start < 5


def test_a_cell_of_a_column_that_is_not_made_cannot_be_given() -> None:
    frame = pd.DataFrame({"size": [1.5, 2.5, 3.1, 4.0], "id": ["a", "b", "c", "d"]})
    with pytest.raises(UsageError, match="column 'id' cannot be given: the model does not make it"):
        row_of(Schema.infer(frame), {"id": "a"})
