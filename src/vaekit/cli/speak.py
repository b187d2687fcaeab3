"""How jobs answer: a result on standard output, as words or as JSON; remarks on standard error."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from vaekit.cli.options import Output

GAP = "  "


@dataclass(frozen=True)
class Listing:
    """Rows under headings. Off a terminal they are plain lines, one a row, whatever their length.

    On a terminal too narrow for that, a row takes two lines: its name and what it is, then the rest, faint.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def plain(self) -> list[str]:
        """The rows alone, their columns below each other."""
        return in_columns(self.rows)

    def shown(self, width: int) -> Iterator[Text]:
        """The rows for a terminal of this width."""
        head, *lines = in_columns((self.columns, *self.rows))
        if max(map(cell_len, (head, *lines))) <= width:
            yield Text(head, "bold")
            yield from map(Text, lines)
        else:
            yield from self._in_pairs(width)

    def _in_pairs(self, width: int) -> Iterator[Text]:
        indent = max(cell_len(row[0]) for row in self.rows) + len(GAP)
        for name, what, *rest in self.rows:
            yield from _hanging(Text.assemble((name, "bold"), " " * (indent - cell_len(name)), what), indent, width)
            if rest:
                yield from _hanging(Text(" " * indent + " · ".join(rest), "dim"), indent, width)


def _hanging(line: Text, indent: int, width: int) -> Iterator[Text]:
    """A line broken between words, what follows the first set in below it."""
    first, rest = line[:indent], line[indent:]
    for number, part in enumerate(rest.wrap(Console(width=width), max(20, width - indent))):
        part.rstrip()
        yield Text.assemble(first if number == 0 else " " * indent, part)


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its widest cell.

    >>> in_columns([("z", "latent", "20"), ("x", "data", "784")])
    ['z  latent  20', 'x  data    784']
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return [GAP.join(cells).rstrip() for cells in padded]


def answer(output: Output, record: Mapping[str, Any], words: str | Listing) -> None:
    """Print a job's result: the record as JSON where that is asked for, else the words."""
    if output.json:
        print(json.dumps(record, indent=2))
    elif not output.quiet:
        say(words)


def say(words: str | Listing) -> None:
    """Print words, or a listing as wide as the terminal is; characters that it cannot show are replaced."""
    console = Console()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(words, str):
        print(words)
    elif console.is_terminal:
        console.print(*words.shown(console.width), sep="\n", soft_wrap=True)
    else:
        print("\n".join(words.plain()))


def remark(output: Output, words: str) -> None:
    """Say something on standard error, unless told to be quiet."""
    if not output.quiet:
        print(words, file=sys.stderr)


def flat(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """What a record holds by dotted names, in words; what is None is left out.

    >>> flat({"kl": 2.5, "kl_of": {"z": 2.5}, "stderr": None, "hidden": [400, 20]})
    [('kl', '2.5'), ('kl_of.z', '2.5'), ('hidden', '400, 20')]
    """
    told: list[tuple[str, str]] = []
    for name, value in record.items():
        if isinstance(value, Mapping):
            told += flat(value, f"{prefix}{name}.")
        elif value is not None:
            told.append((f"{prefix}{name}", _in_words(value)))
    return told


def _in_words(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_in_words, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Listing:
    """A listing of rows of anything."""
    return Listing(tuple(columns), tuple(tuple(map(str, row)) for row in rows))
