"""Series of the many dtypes that pandas has, as one of four sorts: numbers, truth values, dates, or levels (text)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from pandas.api import types

from vaekit.common.errors import DataError

_OBJECTS: Final = {
    **dict.fromkeys(["integer", "floating", "mixed-integer-float", "decimal"], "Float64"),
    "boolean": "boolean",
    **dict.fromkeys(["date", "datetime", "datetime64"], "datetime64[us]"),
}
"""What a column of Python objects is, by what pandas finds in it."""

_KNOWN_OBJECTS: Final = {"string", "empty", *_OBJECTS}


def plain(series: pd.Series, name: str) -> pd.Series:
    """The series as numbers, booleans, dates in UTC (without a zone), text or categories; what is missing stays so.

    Raises `DataError` for what a table cannot hold: durations, lists, several types in one column.

    >>> plain(pd.Series([1, 2.5, None], dtype=object), "size").dtype
    Float64Dtype()
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _with_plain_categories(series, name)
    if types.is_datetime64_any_dtype(series.dtype):
        return _in_utc(series)
    if types.is_object_dtype(series.dtype):
        return _from_objects(series, name)
    if types.is_bool_dtype(series.dtype) or types.is_string_dtype(series.dtype) or _is_real(series):
        return series
    raise DataError(f"column {name!r} is {series.dtype}: make it numbers, dates or text, or leave it out")


def is_numbers(series: pd.Series) -> bool:
    """Whether a plain series holds numbers.

    >>> is_numbers(pd.Series([1, 2])), is_numbers(pd.Series([True]))
    (True, False)
    """
    return types.is_numeric_dtype(series.dtype) and not types.is_bool_dtype(series.dtype)


def is_dates(series: pd.Series) -> bool:
    """Whether a plain series holds dates.

    >>> is_dates(pd.Series(pd.to_datetime(["1969-07-20"])))
    True
    """
    return bool(types.is_datetime64_any_dtype(series.dtype))


def is_text(series: pd.Series) -> bool:
    """Whether a plain series holds text that is not declared to be categories.

    >>> is_text(pd.Series(["a"])), is_text(pd.Series(["a"], dtype="category"))
    (True, False)
    """
    return not isinstance(series.dtype, pd.CategoricalDtype) and types.is_string_dtype(series.dtype)


def first_where(marked: np.ndarray) -> int | None:
    """The number of the first marked row, counted from 0.

    >>> first_where(np.array([False, True]))
    1
    """
    return int(marked.argmax()) if bool(marked.any()) else None


def _is_real(series: pd.Series) -> bool:
    return types.is_numeric_dtype(series.dtype) and not types.is_complex_dtype(series.dtype)


def _in_utc(series: pd.Series) -> pd.Series:
    if isinstance(series.dtype, pd.ArrowDtype):
        series = series.astype(f"datetime64[{series.dtype.pyarrow_dtype.unit}, UTC]")
    elif getattr(series.dtype, "tz", None) is None:
        return series
    return series.dt.tz_convert("UTC").dt.tz_localize(None)


def _from_objects(series: pd.Series, name: str) -> pd.Series:
    found = types.infer_dtype(series, skipna=True)
    if found not in _KNOWN_OBJECTS:
        raise _of_several_types(series, name, found)
    if found not in _OBJECTS:
        return series
    try:
        return series.astype(_OBJECTS[found])
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"column {name!r} holds values that are no {found}: {error}") from error


def _of_several_types(series: pd.Series, name: str, found: str) -> DataError:
    observed = series[series.notna()]
    sorts = observed.map(type)
    odd = int(np.flatnonzero(series.notna().to_numpy())[first_where((sorts != sorts.mode()[0]).to_numpy()) or 0])
    cell = series.iloc[odd]
    return DataError(
        f"column {name!r}, row {odd} holds {cell!r} ({type(cell).__name__}), the column being {found}: "
        "give a column one type, numbers, dates or text"
    )


def _with_plain_categories(series: pd.Series, name: str) -> pd.Series:
    categories = series.cat.categories
    if all(isinstance(level, str | bool | int | float | np.bool_ | np.integer | np.floating) for level in categories):
        return series
    raise DataError(
        f"column {name!r} has categories that are {type(categories[0]).__name__}: make them text, by .astype(str)"
    )
