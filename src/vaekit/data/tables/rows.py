"""Rows of a table, as a data set."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vaekit.common.errors import CellError, DataError, UsageError, first_line
from vaekit.data.dataset import Dataset
from vaekit.data.reading import blaming
from vaekit.data.tables.frames import Frame
from vaekit.data.tables.schema import Schema


def table_rows(frame: Frame, schema: Schema | Path | None = None, name: str = "table") -> Dataset:
    """The rows of a frame, with their schema: one at hand, one in a file, or inferred if none is given.

    Raises `DataError` as `Schema.infer` and `Schema.encode` do.

    >>> import pandas
    >>> table_rows(pandas.DataFrame({"age": [31.0, 47.5, 20.0]}), name="people")
    Dataset(people: 3 rows of 1, float32, unlabelled)
    """
    known = schema_in(schema, frame) if isinstance(schema, Path) else schema or Schema.infer(frame)
    return Dataset(known.encode(frame), known.labels(frame), name, known)


def schema_in(path: Path, frame: Frame) -> Schema:
    """The schema that a file holds, for a table; what it leaves out is inferred. See `Schema.from_toml`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the schema {path} cannot be read ({first_line(error)}): give a file that vaekit wrote"
        ) from error
    with blaming(path):
        return Schema.from_toml(text, frame)


def row_of(schema: Schema, cells: Mapping[str, Any]) -> Dataset:
    """One row in which these cells are known and all others missing.

    Its schema reaches to cells outside the range that was seen, of which a warning tells. Raises `UsageError` for a
    column that the schema has not or the model does not make, `DataError` for a cell that does not fit.
    """
    for name in cells:
        if schema[name] not in schema.modelled:
            what = f"{schema[name].kind}, {schema[name].role}"
            raise UsageError(f"column {name!r} cannot be given: the model does not make it ({what})")
    frame = pd.DataFrame({column.name: pd.Series([cells.get(column.name)]) for column in schema.modelled})
    try:
        x = schema.encode(frame)
    except CellError as error:
        raise DataError(f"column {error.column!r}, as given, {error.fault}") from error
    wider = schema.reaching(x)
    for column in wider.modelled:
        if column != schema[column.name]:
            seen = schema[column.name].code.words
            warnings.warn(
                f"column {column.name!r} is given as {cells[column.name]}, outside what was seen ({seen}): "
                "the model can only guess there",
                stacklevel=2,
            )
    return Dataset(x, schema=wider)
