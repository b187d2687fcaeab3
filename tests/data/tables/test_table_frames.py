from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from vaekit.common.errors import DataError, UsageError
from vaekit.data.tables import infer, table_of

COLUMNS: dict[str, list[Any]] = {
    "size": [0.5, -1.5, None, 2.25, 7.0],
    "visits": [3, None, 0, 12, 40],
    "flag": [True, None, False, True, True],
    "town": ["Ulm", "Bonn", None, "Ulm", "Trier"],
    "day": [dt.date(1901, 12, 13), dt.date(1969, 7, 20), None, dt.date(1970, 1, 1), dt.date(2024, 2, 29)],
    "when": [
        dt.datetime(1901, 12, 13),
        dt.datetime(1969, 7, 20),
        None,
        dt.datetime(1970, 1, 1),
        dt.datetime(2024, 2, 29),
    ],
}


def in_polars() -> Any:
    pl = pytest.importorskip("polars")
    zone = pl.Series("zoned", COLUMNS["when"]).dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    return pl.DataFrame(COLUMNS).with_columns(
        zone,
        narrow=pl.Series([3, None, 0, 12, 40], dtype=pl.UInt8),
        half=pl.Series([0.5, None, -1.5, 2.0, 7.5], dtype=pl.Float32),
        grade=pl.Series(["low", None, "high", "low", "low"], dtype=pl.Enum(["low", "middle", "high"])),
        kind=pl.Series(["b", "a", None, "c", "a"], dtype=pl.Categorical),
        planet=pl.lit("Earth"),
        nothing=pl.lit(None),
    )


def in_arrow() -> Any:
    pa = pytest.importorskip("pyarrow")
    columns = {name: pa.array(cells) for name, cells in COLUMNS.items()}
    return pa.table(
        {
            **columns,
            "zoned": pa.array(COLUMNS["when"], pa.timestamp("us", "UTC")),
            "narrow": pa.array([3, None, 0, 12, 40], pa.uint8()),
            "planet": pa.array(["Earth"] * 5),
            "nothing": pa.nulls(5),
        }
    )


@pytest.mark.parametrize("make", [in_polars, in_arrow])
@pytest.mark.parametrize("with_like", [False, True])
def test_a_frame_of_another_library_comes_back_as_it_was(make: Any, with_like: bool) -> None:
    frame = make()
    schema = infer(frame)
    back = schema.decode(schema.encode(frame), like=frame if with_like else None)
    assert type(back) is type(frame)
    assert back.schema == frame.schema
    assert back.equals(frame)


def test_levels_of_polars_are_in_the_order_of_the_enum() -> None:
    schema = infer(in_polars())
    assert schema["grade"].levels == ("low", "middle", "high")
    assert schema["kind"].levels == ("a", "b", "c")
    assert schema["day"].kind == schema["when"].kind == schema["zoned"].kind == "datetime"


def test_dates_of_a_zone_are_the_same_moment_in_every_library() -> None:
    frame = in_polars().select("zoned", "size")
    other = pd.DataFrame({"zoned": pd.Series(frame["zoned"].to_list()), "size": frame["size"].to_list()})
    mine, theirs = infer(frame), infer(other)
    assert mine["zoned"].code == theirs["zoned"].code
    assert torch.equal(mine.encode(frame).nan_to_num(-1), theirs.encode(other).nan_to_num(-1))


def test_a_model_of_pandas_takes_polars_and_answers_in_it() -> None:
    pl = pytest.importorskip("polars")
    frame = pd.DataFrame({"x": [1.5, -2.0, 4.0], "town": ["Ulm", "Bonn", "Ulm"]})
    schema, same = infer(frame), pl.DataFrame({"x": [1.5, -2.0, 4.0], "town": ["Ulm", "Bonn", "Ulm"]})
    assert torch.equal(schema.encode(same), schema.encode(frame))
    assert schema.decode(schema.encode(frame), like=same).equals(same)


def test_a_frame_without_rows_says_whose_frame_to_make() -> None:
    frame = in_polars().select("size", "visits", "town")
    schema = infer(frame)
    made = schema.decode(schema.encode(frame)[:2], like=frame.clear())
    assert made.equals(frame.head(2))


def test_arrays_have_names_by_place_and_come_back_as_arrays() -> None:
    numbers = np.array([[0.5, 1.0], [-2.5, 0.0], [np.nan, 1.0]])
    schema = infer(numbers)
    assert [column.name for column in schema] == ["x0", "x1"]
    assert np.array_equal(schema.decode(schema.encode(numbers)), numbers, equal_nan=True)
    mixed = np.array([[0.5, "Ulm"], [-2.5, "Bonn"], [1.0, "Ulm"]], dtype=object)
    back = infer(mixed).decode(infer(mixed).encode(mixed))
    assert back.dtype == object
    assert back.tolist() == mixed.tolist()


@pytest.mark.parametrize("dtype", ["int64", "float64", "string", "bool", "timestamp[us]"])
def test_pandas_columns_that_arrow_backs_come_back(dtype: str) -> None:
    pytest.importorskip("pyarrow")
    cells = {"bool": [True, None, False], "string": ["b", "a", None], "timestamp[us]": COLUMNS["when"][:3]}
    given = cells.get(dtype, [1, None, -3])
    frame = pd.DataFrame({"x": pd.array(given, dtype=f"{dtype}[pyarrow]"), "y": [0.5, -1.0, 2.0]})
    schema = infer(frame)
    back = schema.decode(schema.encode(frame))["x"]
    assert str(back.dtype) == str(frame["x"].dtype)
    assert back.isna().tolist() == frame["x"].isna().tolist()
    assert back.dropna().tolist() == frame["x"].dropna().tolist()


def test_names_that_are_no_text_are_written_as_text() -> None:
    frame = pd.DataFrame({0: [0.5, -1.0], 1: [2.0, 3.0]})
    assert [column.name for column in infer(frame)] == ["0", "1"]


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(UsageError, match="int is no table"):
        table_of(3)
    with pytest.raises(DataError, match="shape"):
        table_of(np.zeros(3))


def test_a_type_that_has_no_place_is_refused_by_its_column() -> None:
    pl = pytest.importorskip("polars")
    with pytest.raises(DataError, match="'lists'"):
        infer(pl.DataFrame({"x": [0.5, -1.0], "lists": [[1], [2]]}))
