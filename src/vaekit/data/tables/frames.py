"""Frames of several libraries as pandas frames, and back: names, order, types and categories as the caller had them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import narwhals as nw
import numpy as np
import pandas as pd
from pandas.api import types

from vaekit.common.errors import DataError, UsageError
from vaekit.common.registry import Registry

Frame = Any
"""A pandas, polars or Arrow table, or a numpy array with two axes."""


@dataclass(frozen=True)
class Table:
    """A frame in pandas, with the types that its columns had at the caller's."""

    frame: pd.DataFrame
    library: str
    dtypes: tuple[str, ...]


class Library(ABC):
    """A library whose frames are taken in, and handed back."""

    @abstractmethod
    def claims(self, data: object) -> bool:
        """Whether `data` is one of its frames."""

    @abstractmethod
    def read(self, data: Any) -> tuple[pd.DataFrame, Sequence[str]]:
        """The frame in pandas, and the type of each column as a word."""

    @abstractmethod
    def pandas_type(self, dtype: str) -> str:
        """The pandas type that a column of this type is cast to before it is handed back."""

    @abstractmethod
    def write(self, frame: pd.DataFrame, dtypes: Sequence[str]) -> Any:
        """The frame as one of the library's, its columns of these types."""


class Pandas(Library):
    """pandas frames; names that are no text are written as text."""

    def claims(self, data: object) -> bool:
        return isinstance(data, pd.DataFrame)

    def read(self, data: pd.DataFrame) -> tuple[pd.DataFrame, Sequence[str]]:
        dtypes = [_pandas_word(data.iloc[:, place]) for place in range(data.shape[1])]
        return data.set_axis([str(name) for name in data.columns], axis=1), dtypes

    def pandas_type(self, dtype: str) -> str:
        return dtype

    def write(self, frame: pd.DataFrame, dtypes: Sequence[str]) -> pd.DataFrame:
        return frame


class Arrays(Library):
    """numpy arrays of rows: their columns are called x0, x1, ..."""

    def claims(self, data: object) -> bool:
        return isinstance(data, np.ndarray)

    def read(self, data: np.ndarray) -> tuple[pd.DataFrame, Sequence[str]]:
        if data.ndim != 2:
            raise DataError(f"the array has shape {data.shape}: give it one axis of rows and one of columns")
        frame = pd.DataFrame(data, columns=[f"x{place}" for place in range(data.shape[1])]).infer_objects()
        return frame, [str(data.dtype)] * data.shape[1]

    def pandas_type(self, dtype: str) -> str:
        return dtype

    def write(self, frame: pd.DataFrame, dtypes: Sequence[str]) -> np.ndarray:
        return np.asarray(frame.to_numpy())


class Narwhals(Library):
    """Frames of a library that narwhals knows."""

    named: ClassVar[dict[str, str]] = {
        **{name: name for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")},
        "Float32": "float32",
        "Float64": "float64",
        "Decimal": "float64",
        "Boolean": "boolean",
        "Date": "datetime64[us]",
        "String": "str",
        "Categorical": "category",
        "Enum": "category",
        "Unknown": "object",
    }

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def claims(self, data: object) -> bool:
        try:
            return bool(nw.from_native(data, eager_only=True).implementation.value == self.backend)  # type: ignore[call-overload]
        except TypeError:
            return False

    def read(self, data: Any) -> tuple[pd.DataFrame, Sequence[str]]:
        frame = nw.from_native(data, eager_only=True)
        dtypes = [_word(dtype) for dtype in frame.schema.values()]
        columns = {
            column.name: self._column(column, dtype) for column, dtype in zip(frame.iter_columns(), dtypes, strict=True)
        }
        return pd.DataFrame(columns), dtypes

    def _column(self, column: nw.Series[Any], dtype: str) -> pd.Series:
        if _family(dtype) not in {*self.named, "Datetime"}:
            raise DataError(f"column {column.name!r} is {dtype}: make it numbers, dates or text, or leave it out")
        read: Callable[[Any, str], pd.Series] = _READERS.get(_family(dtype), _read_numbers)
        return read(column, self.pandas_type(dtype))

    def pandas_type(self, dtype: str) -> str:
        return f"datetime64[{dtype[9:-1]}]" if _family(dtype) == "Datetime" else self.named[_family(dtype)]

    def write(self, frame: pd.DataFrame, dtypes: Sequence[str]) -> Any:
        columns = [self._series(frame[name], dtype) for name, dtype in zip(frame, dtypes, strict=True)]
        return nw.concat([column.to_frame() for column in columns], how="horizontal").to_native()

    def _series(self, series: pd.Series, dtype: str) -> nw.Series[Any]:
        write: Callable[[pd.Series, str, Any], nw.Series[Any]] = _WRITERS.get(_family(dtype), _write_numbers)
        return write(series, dtype, self.backend)


LIBRARIES: Registry[Library] = Registry(
    "library of frames",
    {"pandas": Pandas(), "numpy": Arrays(), "polars": Narwhals("polars"), "pyarrow": Narwhals("pyarrow")},
)
"""The libraries whose frames are taken in, by name."""


def table_of(data: Frame) -> Table:
    """A frame of any library in `LIBRARIES`, in pandas; a `UsageError` for anything else.

    >>> table_of(np.eye(2)).frame
        x0   x1
    0  1.0  0.0
    1  0.0  1.0
    """
    for name, library in LIBRARIES.items():
        if library.claims(data):
            frame, dtypes = library.read(data)
            return Table(_with_distinct_names(frame), name, tuple(dtypes))
    raise UsageError(f"{type(data).__name__} is no table: give a frame of pandas, polars or Arrow, or an array of rows")


def _with_distinct_names(frame: pd.DataFrame) -> pd.DataFrame:
    refuse_repeated(list(frame.columns))
    return frame


def refuse_repeated(names: Sequence[Hashable]) -> None:
    """Refuse names of columns of which one is there twice, in a `DataError` that tells where."""
    if len(set(names)) < len(names):
        first, second = next((names.index(name), at) for at, name in enumerate(names) if names.index(name) < at)
        raise DataError(f"columns {first + 1} and {second + 1} are both called {names[first]!r}: rename one")


def cast(series: pd.Series, dtype: str) -> pd.Series:
    """Decoded cells as cells of a pandas type; where it has no place for missing ones, the nullable type beside it.

    >>> cast(pd.Series([1.0, np.nan]), "int64").dtype
    Int64Dtype()
    """
    for fits, how in _CASTS:
        if fits(dtype):
            return how(series, dtype)
    return _loose(series).astype(dtype)


def _to_category(series: pd.Series, dtype: str) -> pd.Series:
    return series if isinstance(series.dtype, pd.CategoricalDtype) else series.astype("category")


def _to_whole(series: pd.Series, dtype: str) -> pd.Series:
    loose = pd.to_numeric(_loose(series))
    gaps = loose.isna().any()
    whole = loose if types.is_integer_dtype(loose.dtype) else loose.round()
    nullable = dtype[0].upper() + dtype[1:].replace("int", "Int") if dtype.startswith("u") else dtype.capitalize()
    return whole.astype(nullable if gaps else dtype)


def _to_bool(series: pd.Series, dtype: str) -> pd.Series:
    truths = _loose(series).astype("boolean")
    return truths if truths.isna().any() else truths.astype(dtype)


def _to_zone(series: pd.Series, dtype: str) -> pd.Series:
    unit, zone = dtype[11:-1].split(", ") if ", " in dtype else (dtype[11:-1], None)
    dates = pd.to_datetime(_loose(series)).astype(f"datetime64[{unit}]")
    return dates if zone is None else dates.dt.tz_localize("UTC").dt.tz_convert(zone)


def _to_objects(series: pd.Series, dtype: str) -> pd.Series:
    loose = _loose(series)
    if types.is_float_dtype(loose.dtype) and (loose.dropna() % 1 == 0).all():
        loose = loose.astype("Int64")
    return loose.astype(object).where(loose.notna(), None)


def _to_days(series: pd.Series, dtype: str) -> pd.Series:
    dates = pd.to_datetime(_loose(series))
    return dates.dt.date.astype(object).where(dates.notna(), None)


def _loose(series: pd.Series) -> pd.Series:
    """Categories as plain values."""
    if not isinstance(series.dtype, pd.CategoricalDtype):
        return series
    values = pd.Series(np.asarray(series, dtype=object), index=series.index)
    return values.infer_objects() if series.notna().all() else _nullable(values)


def _nullable(values: pd.Series) -> pd.Series:
    return values.where(values.notna(), None).convert_dtypes()


Cast = Callable[[pd.Series, str], pd.Series]
_CASTS: Final[Sequence[tuple[Callable[[str], object], Cast]]] = (
    (lambda dtype: dtype == "category", _to_category),
    (re.compile(r"u?int\d+").fullmatch, _to_whole),
    (re.compile(r"U?Int\d+").fullmatch, lambda series, dtype: pd.to_numeric(_loose(series)).round().astype(dtype)),
    (lambda dtype: dtype == "bool", _to_bool),
    (lambda dtype: dtype.startswith("datetime64["), _to_zone),
    (lambda dtype: dtype == "object", _to_objects),
    (lambda dtype: dtype == "date", _to_days),
)
"""How decoded cells become cells of a type, by what the type's name is like."""


def _pandas_word(series: pd.Series) -> str:
    """A type of pandas in a word; objects that are dates without a time are told from others."""
    days = types.is_object_dtype(series.dtype) and types.infer_dtype(series, skipna=True) == "date"
    return "date" if days else str(series.dtype)


def _word(dtype: nw.dtypes.DType) -> str:
    """A type of narwhals in one word: Int64, Datetime[us, UTC]."""
    if not isinstance(dtype, nw.Datetime):
        return str(dtype).partition("(")[0]
    return f"Datetime[{dtype.time_unit}{f', {dtype.time_zone}' if dtype.time_zone else ''}]"


def _family(dtype: str) -> str:
    return dtype.partition("[")[0]


def _read_numbers(column: nw.Series[Any], dtype: str) -> pd.Series:
    gaps = column.is_null()
    if not gaps.any():
        return pd.Series(column.to_numpy(), name=column.name).astype(dtype)
    values = pd.Series(column.fill_null(0).to_numpy()).astype(dtype)
    return values.mask(gaps.to_numpy().astype(bool))


def _read_nothing(column: nw.Series[Any], dtype: str) -> pd.Series:
    if not column.is_null().all():
        raise DataError(
            f"column {column.name!r} is of an unknown type: make it numbers, dates or text, or leave it out"
        )
    return pd.Series([None] * len(column), dtype=object)


def _read_booleans(column: nw.Series[Any], dtype: str) -> pd.Series:
    return pd.Series(column.to_list(), dtype="boolean")


def _read_text(column: nw.Series[Any], dtype: str) -> pd.Series:
    return pd.Series(column.cast(nw.String()).to_list(), dtype="str")


def _read_categories(column: nw.Series[Any], dtype: str) -> pd.Series:
    found = column.dtype.categories if isinstance(column.dtype, nw.Enum) else None
    return pd.Series(pd.Categorical(_read_text(column, dtype), categories=found))


def _read_dates(column: nw.Series[Any], dtype: str) -> pd.Series:
    zone = dtype.partition(", ")[2].rstrip("]")
    if not zone:
        return pd.Series(column.to_numpy().astype(dtype))
    dates = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()
    return pd.Series(dates).dt.tz_localize("UTC").dt.tz_convert(zone)


_READERS: Final[Mapping[str, Callable[[Any, str], pd.Series]]] = {
    "Unknown": _read_nothing,
    "Boolean": _read_booleans,
    "String": _read_text,
    "Categorical": _read_categories,
    "Enum": _read_categories,
    "Date": _read_dates,
    "Datetime": _read_dates,
}


def _write_numbers(series: pd.Series, dtype: str, backend: Any) -> nw.Series[Any]:
    gaps = series.isna().to_numpy()
    filled = (series.fillna(0) if gaps.any() else series).to_numpy(np.dtype(str(series.dtype).lower()))
    column = nw.new_series(series.name, np.ascontiguousarray(filled), backend=backend)
    if gaps.any():
        frame = column.to_frame().with_columns(nw.new_series("gap", gaps, backend=backend))
        column = frame.select(nw.when(~nw.col("gap")).then(nw.col(series.name)).alias(str(series.name)))[series.name]
    return column.cast(getattr(nw, dtype)())


def _write_cells(series: pd.Series, dtype: str, backend: Any) -> nw.Series[Any]:
    cells = series.astype(object).where(series.notna(), None).tolist()
    return nw.new_series(series.name, cells, getattr(nw, dtype)(), backend=backend)


def _write_nothing(series: pd.Series, dtype: str, backend: Any) -> nw.Series[Any]:
    return nw.new_series(series.name, [None] * len(series), backend=backend)


def _write_categories(series: pd.Series, dtype: str, backend: Any) -> nw.Series[Any]:
    return _write_cells(series, "String", backend).cast(nw.Categorical())


def _write_enum(series: pd.Series, dtype: str, backend: Any) -> nw.Series[Any]:
    return _write_cells(series, "String", backend).cast(nw.Enum(series.cat.categories.astype(str).tolist()))


def _write_dates(series: pd.Series, dtype: str, backend: Any) -> nw.Series[Any]:
    zone = dtype.partition(", ")[2].rstrip("]")
    naive = series.dt.tz_convert("UTC").dt.tz_localize(None) if zone else series
    column = nw.new_series(series.name, naive.to_numpy(), backend=backend)
    return column.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else column


def _write_days(series: pd.Series, dtype: str, backend: Any) -> nw.Series[Any]:
    return _write_dates(series, dtype, backend).cast(nw.Date())


_WRITERS: Final[Mapping[str, Callable[[pd.Series, str, Any], Any]]] = {
    "Unknown": _write_nothing,
    "Boolean": _write_cells,
    "String": _write_cells,
    "Categorical": _write_categories,
    "Enum": _write_enum,
    "Date": _write_days,
    "Datetime": _write_dates,
}
