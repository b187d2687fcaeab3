"""The job that says what the columns of a table are taken for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from vaekit.cli.options import Output
from vaekit.cli.speak import answer, table
from vaekit.common.errors import DataError
from vaekit.common.files import refuse_existing, write_atomically
from vaekit.data.load import MixedTable
from vaekit.data.reading import blaming
from vaekit.data.tables import Schema, read_frame


def schema_job(source: str, out: Path | None, force: bool, output: Output) -> None:
    """Print the schema that a table seems to have, or write it as TOML."""
    if out is not None:
        refuse_existing(out, force=force)
    path = Path(source).expanduser()
    if path.exists() and not MixedTable().claims(path):
        raise DataError(f"{path}: no table with named columns; give {MixedTable.words}")
    frame = read_frame(path)
    with blaming(path):
        schema = Schema.infer(frame)
    if out is not None:
        write_atomically(out, schema.to_toml())
    summary = [asdict(column) for column in schema.summary()]
    shown = table(("column", "kind", "missing", "values", "remark"), (tuple(column.values()) for column in summary))
    where = {} if out is None else {"out": str(out)}
    answer(
        output,
        {**where, "rows": len(frame), "columns": summary},
        shown if out is None else f"{out}: {len(schema)} columns",
    )
