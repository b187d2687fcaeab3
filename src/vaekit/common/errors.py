"""Errors a user can act on: one line that names the file, column, row or key, and the mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class VaekitError(Exception):
    """Any error vaekit raises on purpose; its message is one line, and the command line exits with `exit_code`."""

    exit_code: ClassVar[int] = 1


class UsageError(VaekitError):
    """A wrong setting, name or call."""

    exit_code = 2


class DataError(VaekitError):
    """Data that cannot be read, or that the model cannot explain."""

    exit_code = 2


class RowError(DataError):
    """Data of which one row is wrong: the row's number and what is wrong with it, so that a part can be numbered anew.

    >>> str(RowError(3, "x", "holds a NaN: drop it").moved(1000))
    'row 1003 of x holds a NaN: drop it'
    """

    def __init__(self, row: int, of: str, fault: str) -> None:
        super().__init__(f"row {row} of {of} {fault}")
        self.row, self.of, self.fault = row, of, fault

    def __reduce__(self) -> tuple[type[RowError], tuple[int, str, str]]:
        return type(self), (self.row, self.of, self.fault)

    def moved(self, by: int) -> RowError:
        """The same fault where so many rows stand before the ones that were looked at."""
        return RowError(self.row + by, self.of, self.fault)


class CellError(RowError):
    """Data of which one cell is wrong: the column, the row's number, and what is wrong with it.

    >>> str(CellError("age", 3, "holds 'x', which is no number: mend the cell").moved(1000))
    "column 'age', row 1003 holds 'x', which is no number: mend the cell"
    """

    def __init__(self, column: str, row: int, fault: str) -> None:
        super().__init__(row, f"column {column!r}", fault)
        self.column = column

    def __str__(self) -> str:
        return f"{self.of}, row {self.row} {self.fault}"

    def __reduce__(self) -> tuple[type[CellError], tuple[str, int, str]]:  # type: ignore[override]
        return type(self), (self.column, self.row, self.fault)

    def moved(self, by: int) -> CellError:
        """The same fault where so many rows stand before the ones that were looked at."""
        return CellError(self.column, self.row + by, self.fault)


class ModelFileError(VaekitError):
    """A model directory that is truncated, foreign or newer than this vaekit."""

    exit_code = 2


class TrainingDiverged(VaekitError):
    """A term of the objective stopped being a finite number."""

    def __init__(self, epoch: int, step: int, term: str, mend: str) -> None:
        super().__init__(f"training diverged: {term} is not finite at epoch {epoch}, step {step}; {mend}")
        self.epoch, self.step, self.term = epoch, step, term


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not among the known ones, with the nearest of them.

    >>> str(unknown("recipe", "vea", ["vae", "iwae"]))
    "unknown recipe 'vea': did you mean 'vae'? (known: iwae, vae)"
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    told = f"did you mean {nearest[0]!r}? (known: {', '.join(names)})" if nearest else f"known are {', '.join(names)}"
    return UsageError(f"unknown {what} {name!r}: {told}")


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind where it says nothing.

    >>> first_line(ValueError("too long\\nand more")), first_line(ValueError())
    ('too long', 'ValueError')
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
