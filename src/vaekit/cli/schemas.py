"""The job that says what the columns of a table are taken for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaekit.cli.options import Output
from vaekit.cli.speak import Listing, answer, table
from vaekit.common.errors import DataError
from vaekit.common.files import refuse_existing, write_atomically
from vaekit.data.load import MixedTable
from vaekit.data.reading import blaming
from vaekit.data.tables import Schema, read_frame
from vaekit.data.tables.rows import schema_in


def schema_job(source: str, given: Path | None, out: Path | None, force: bool, output: Output) -> None:
    """Print the schema that a table seems to have, or with a file that says part of it, or write it as TOML."""
    if out is not None:
        refuse_existing(out, force=force)
    path = Path(source).expanduser()
    if path.exists() and not MixedTable().claims(path):
        raise DataError(f"{path}: no table with named columns; give {MixedTable.words}")
    frame = read_frame(path)
    with blaming(path):
        schema = Schema.infer(frame) if given is None else schema_in(given, frame)
    if out is not None:
        write_atomically(out, schema.to_toml())
    record, shown = told_of_schema(schema, len(frame))
    if out is not None:
        answer(output, {"out": str(out), **record}, f"{out}: {len(schema)} columns")
    else:
        answer(output, record, shown)


def told_of_schema(schema: Schema, rows: int) -> tuple[dict[str, Any], Listing]:
    """What the columns are taken for, as a record and as a listing."""
    summary = [asdict(column) for column in schema.summary()]
    shown = table(("column", "kind", "missing", "values", "remark"), (tuple(column.values()) for column in summary))
    return {"rows": rows, "columns": summary}, shown
