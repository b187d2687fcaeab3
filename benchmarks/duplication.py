"""How much of a package is written twice, and how long its functions are.

    python benchmarks/duplication.py                       # of vaekit's own source
    python benchmarks/duplication.py path/to/package ...   # of others too, to compare

A code line is a line of a .py file without its comment and its white space; blank lines, docstrings, imports and lines
of punctuation alone do not count. A line is repeated where it lies in a run of at least six consecutive code lines that
stands, to the letter, somewhere else too: in the same package, and not overlapping itself. `by shape` counts runs that
are alike but for names, strings and numbers: much of it is the grammar of the language (fields of dataclasses, tables),
so it is an upper limit and no verdict. The length of a function is its code lines, signature and all; one of a single
line declares and does nothing, and is left out. The record goes to benchmarks/results/duplication.json.
"""

from __future__ import annotations

import argparse
import ast
import io
import keyword
import statistics
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeGuard

import records

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "duplication.json"
OWN = HERE.parent / "src" / "vaekit"
RUN = 6
"""Lines that make a repetition."""
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
WORDS = {tokenize.NAME, tokenize.NUMBER, tokenize.STRING}
Token = tokenize.TokenInfo
Place = tuple[int, int]
"""The number of a file, and that of a code line in it."""


@dataclass(frozen=True)
class Source:
    """One file: its code lines, by their numbers, in tokens; and where its functions begin and end."""

    lines: dict[int, list[Token]]
    functions: list[tuple[int, int]]

    @staticmethod
    def of(path: Path) -> Source:
        """What a file holds; of one that is no Python of today, nothing."""
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            tree, tokens = ast.parse(text), list(tokenize.generate_tokens(io.StringIO(text).readline))
        except (SyntaxError, tokenize.TokenError):
            return Source({}, [])
        aside = set(_aside(tree))
        lines = {number: line for number, line in _lines(tokens).items() if number not in aside and _says(line)}
        functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        return Source(lines, [(node.lineno, node.end_lineno or node.lineno) for node in functions])

    def lengths(self) -> list[int]:
        """The code lines of each function; what only declares (a body of `...` or a docstring) is left out."""
        found = (sum(first <= number <= last for number in self.lines) for first, last in self.functions)
        return [length for length in found if length > 1]


def _aside(tree: ast.Module) -> Iterator[int]:
    """The numbers of lines that are imports or strings that nobody reads."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_text(node):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _is_text(node: ast.AST) -> TypeGuard[ast.Expr]:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _lines(tokens: Iterable[Token]) -> dict[int, list[Token]]:
    """The tokens that begin on each line."""
    found = defaultdict[int, list[Token]](list)
    for token in tokens:
        if token.type not in NO_CODE:
            found[token.start[0]].append(token)
    return dict(found)


def _says(line: Sequence[Token]) -> bool:
    return any(token.type in WORDS for token in line)


def to_the_letter(token: Token) -> str:
    """A token as it stands."""
    return token.string


def by_shape(token: Token) -> str:
    """A token but for its name, its text or its number."""
    own = token.type in WORDS and not keyword.iskeyword(token.string)
    return tokenize.tok_name[token.type] if own else token.string


def repeated(sources: Sequence[Source], reading: Callable[[Token], str]) -> int:
    """How many code lines lie in a run that stands elsewhere too.

    >>> twice = [Source({n: [Token(1, f"x{n}", (n, 0), (n, 2), "")] for n in range(9)}, [])] * 2
    >>> repeated(twice, to_the_letter), repeated(twice[:1], to_the_letter)
    (18, 0)
    """
    runs = defaultdict[tuple[str, ...], list[Place]](list)
    for file, source in enumerate(sources):
        lines = [" ".join(map(reading, line)) for line in source.lines.values()]
        for start in range(len(lines) - RUN + 1):
            runs[tuple(lines[start : start + RUN])].append((file, start))
    return len({line for places in runs.values() for line in _repeated(places)})


def _repeated(places: Sequence[Place]) -> Iterator[Place]:
    """The lines of those runs that have another one of their kind which does not overlap them."""
    for file, start in places:
        if any(other != file or abs(at - start) >= RUN for other, at in places):
            yield from ((file, start + line) for line in range(RUN))


@dataclass(frozen=True)
class Measured:
    """What was found of one package."""

    files: int
    code_lines: int
    repeated_lines: int
    repeated_percent: float
    same_shape_percent: float
    functions: int
    median_function: float
    ninetieth_function: float
    longest_function: int
    longest_file: int

    @staticmethod
    def of(package: Path) -> Measured:
        """The measures of all .py files below a folder."""
        sources = [Source.of(path) for path in sorted(package.rglob("*.py"))]
        lines, lengths = sum(len(source.lines) for source in sources), _all_lengths(sources)
        if not lines or len(lengths) < 2:
            raise SystemExit(f"{package} holds no Python code to measure")
        same, alike = repeated(sources, to_the_letter), repeated(sources, by_shape)
        return Measured(
            files=len(sources),
            code_lines=lines,
            repeated_lines=same,
            repeated_percent=round(100 * same / lines, 2),
            same_shape_percent=round(100 * alike / lines, 2),
            functions=len(lengths),
            median_function=statistics.median(lengths),
            ninetieth_function=statistics.quantiles(lengths, n=10)[-1],
            longest_function=max(lengths),
            longest_file=max(len(source.lines) for source in sources),
        )

    def __str__(self) -> str:
        return (
            f"{self.repeated_percent:.1f} % of {self.code_lines:,} code lines repeated "
            f"({self.same_shape_percent:.1f} % by shape); {self.functions:,} functions, "
            f"median {self.median_function:g} lines, 90 % within {self.ninetieth_function:g}, "
            f"longest {self.longest_function}; longest file {self.longest_file}"
        )


def _all_lengths(sources: Iterable[Source]) -> list[int]:
    return list(chain.from_iterable(source.lengths() for source in sources))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", type=Path, help="folders of other packages, to compare")
    others: list[Path] = parser.parse_args().packages
    found = {path.resolve().name: Measured.of(path) for path in (OWN, *others)}
    for name, measured in found.items():
        print(f"{name}: {measured}")
    record = {"packages": {name: asdict(measured) for name, measured in found.items()}, "run": RUN}
    records.write("duplication", record)


def told(record: Mapping[str, Any]) -> str:
    """The record as a section of RESULTS.md."""
    return records.section(
        f"Code written twice, and the length of functions, {record['date']}",
        "python benchmarks/duplication.py",
        ("package", "code lines", "repeated", "alike but for names", "functions", "median, 90 %, longest"),
        (_cells(name, found) for name, found in record["packages"].items()),
        f"Repeated are lines in runs of {record['run']} or more that stand elsewhere too.",
    )


def _cells(name: str, found: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        name,
        f"{found['code_lines']:,}",
        f"{found['repeated_percent']:.1f} %",
        f"{found['same_shape_percent']:.1f} %",
        f"{found['functions']:,}",
        f"{found['median_function']:g}, {found['ninetieth_function']:g}, {found['longest_function']}",
    )


if __name__ == "__main__":
    main()
