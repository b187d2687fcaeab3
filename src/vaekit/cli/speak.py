"""How jobs answer: a result on standard output, as words or as JSON; remarks on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from vaekit.cli.options import Output


def answer(output: Output, record: Mapping[str, Any], words: str | Table) -> None:
    """Print a job's result: the record as JSON where that is asked for, else the words."""
    if output.json:
        print(json.dumps(record, indent=2))
    elif not output.quiet:
        console = Console()
        console.print(words, highlight=False, soft_wrap=isinstance(words, str), markup=False)


def remark(output: Output, words: str) -> None:
    """Say something on standard error, unless told to be quiet."""
    if not output.quiet:
        print(words, file=sys.stderr)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*map(str, row))
    return made
