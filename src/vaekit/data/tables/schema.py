"""The schema of a table: what each column is, and so how rows become tensors and rows again."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
import pandas as pd
import tomli_w
import torch
from torch import Tensor

from vaekit.common.errors import DataError, UsageError, first_line, unknown
from vaekit.data.tables.codes import Constant
from vaekit.data.tables.column import Column, Role
from vaekit.data.tables.frames import LIBRARIES, Frame, Table, cast, table_of
from vaekit.data.tables.seen import Seen


@dataclass(frozen=True)
class Summary:
    """One column in words, as a row of a table on the screen."""

    name: str
    kind: str
    missing: str
    """The share of missing cells; empty where none is."""
    values: str
    """The levels or the range."""
    remark: str


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order, and the library whose frames they came from.

    `encode` makes of a frame one float32 tensor `(n, C)`: a scalar for each modelled column, NaN where missing;
    `decode` makes a frame of that.

    >>> people = pd.DataFrame({"age": [34, 61, 18, 45], "smokes": ["no", "yes", None, "no"], "planet": "Earth"})
    >>> schema = Schema.infer(people)
    >>> [(column.name, column.kind) for column in schema.columns]
    [('age', 'positive'), ('smokes', 'binary'), ('planet', 'constant')]
    >>> schema.encode(people)
    tensor([[34.,  0.],
            [61.,  1.],
            [18., nan],
            [45.,  0.]])
    >>> schema.decode(torch.tensor([[29.7, 1.0]]))
       age smokes planet
    0   30    yes  Earth
    """

    columns: tuple[Column, ...]
    library: str = "pandas"

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise DataError(f"column {repeated!r} is there twice: rename one")

    @classmethod
    def infer(cls, data: Frame) -> Self:
        """The schema that a frame (pandas, polars, Arrow, a numpy array) seems to have.

        Raises `DataError` for a table of fewer than 2 rows, one without a column to model, and a cell that is wrong.
        """
        table = table_of(data)
        _refuse_short(table.frame)
        inferred = [
            Column.infer(table.frame[name], str(name), dtype)
            for name, dtype in zip(table.frame, table.dtypes, strict=True)
        ]
        return cls(tuple(inferred), table.library)._with_something_to_model()

    def _with_something_to_model(self) -> Self:
        if not self.modelled:
            named = "; ".join(f"{column.name!r} is {column.kind}" for column in self.columns[:5])
            raise DataError(f"no column to model ({named}): give one that varies, or another kind in the schema")
        return self

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __getitem__(self, name: str) -> Column:
        """The column of this name; a `UsageError` with the nearest name where there is none."""
        found = next((column for column in self.columns if column.name == name), None)
        if found is None:
            raise UsageError(f"no column {name!r}: {_nearest(name, [column.name for column in self.columns])}")
        return found

    @property
    def modelled(self) -> tuple[Column, ...]:
        """The columns that a model explains: neither identifiers nor constants, nor of another role."""
        return tuple(column for column in self.columns if column.modelled)

    @property
    def label(self) -> Column | None:
        """The column that labels the rows, if one does."""
        return next((column for column in self.columns if column.role is Role.LABEL), None)

    def with_roles(self, *, label: str | None = None, ignore: Sequence[str] = ()) -> Self:
        """The same schema with other roles: one column labels the rows, some are left out.

        >>> schema = Schema.infer(pd.DataFrame({"dose": [0.5, 1.5, 2.0], "sick": [True, False, True]}))
        >>> [column.name for column in schema.with_roles(label="sick").modelled]
        ['dose']
        """
        roles = {**({label: Role.LABEL} if label is not None else {}), **dict.fromkeys(ignore, Role.IGNORE)}
        changed = {name: self[name].as_role(role) for name, role in roles.items()}
        return replace(self, columns=tuple(changed.get(column.name, column) for column in self.columns))

    def encode(self, data: Frame) -> Tensor:
        """The rows as float32 `(n, C)`, the modelled columns in order, NaN where missing.

        Columns are found by name, in any order. Raises `DataError` that names a column that is missing or new, and
        the row of a cell that does not fit.
        """
        return torch.from_numpy(self._codes(self._fitting(table_of(data))))

    def labels(self, data: Frame) -> Tensor | None:
        """The labels, int64 `(n,)`: the place of each among the levels, -1 where missing; None without a label column.

        >>> table = pd.DataFrame({"dose": [0.5, 1.5, 2.0], "sick": ["no", None, "yes"]})
        >>> Schema.infer(table).with_roles(label="sick").labels(table)
        tensor([ 0, -1,  1])
        """
        frame = table_of(data).frame
        if self.label is None or self.label.name not in frame:
            return None
        codes = self.label.encode(frame[self.label.name])
        return torch.from_numpy(np.where(np.isnan(codes), -1, codes).astype(np.int64))

    def decode(self, x: Tensor, like: Frame | None = None) -> Any:
        """The frame that rows `x`, `(n, C)`, stand for, of the caller's library, types and categories restored.

        Constants are restored. With `like`, the frame that the rows were encoded from, a cell that is still what it
        was there is taken from there to the last digit, and so are identifiers and what has another role; without,
        those are left out. A `like` of another number of rows says only whose frame to make, and of which types.
        """
        codes = self._checked(x)
        table = None if like is None else table_of(like)
        if table is not None and len(table.frame) == len(codes):
            return self._decoded_like(codes, table)
        return self._decoded(codes, table)

    def reaching(self, x: Tensor) -> Self:
        """The same schema, with ranges that these rows `(n, C)` are in: so that they are decoded as they are.

        >>> schema = Schema.infer(pd.DataFrame({"age": [34, 61, 18, 45]}))
        >>> schema.reaching(torch.tensor([[99.0]]))["age"].code.words
        '18 to 99'
        """
        codes = dict(zip([column.name for column in self.modelled], self._checked(x).T, strict=True))
        wider = {column.name: column.code.reaching(codes[column.name]) for column in self.modelled}
        return replace(
            self, columns=tuple(replace(each, code=wider.get(each.name, each.code)) for each in self.columns)
        )

    def summary(self) -> tuple[Summary, ...]:
        """Each column in words.

        >>> Schema.infer(pd.DataFrame({"size": [1.5, 2.5, None, -8.0]})).summary()
        (Summary(name='size', kind='numeric', missing='25 %', values='-8 to 2.5', remark=''),)
        """
        return tuple(_summary(column) for column in self.columns)

    def to_toml(self) -> str:
        """The schema as a file that a person can edit: kinds, levels, ranges and roles; see `from_toml`.

        >>> print(Schema.infer(pd.DataFrame({"dose": [0.5, -1.5, 2.0]})).to_toml())
        # A schema of vaekit: change a kind, levels or a role ("model", "label" or "ignore"), and pass it back.
        library = "pandas"
        <BLANKLINE>
        [columns.dose]
        kind = "numeric"
        dtype = "float64"
        low = -1.5
        high = 2
        decimals = 1
        <BLANKLINE>
        """
        columns = {column.name: column.to_config() for column in self.columns}
        return _HEAD + tomli_w.dumps({"library": self.library, "columns": columns})

    @classmethod
    def from_toml(cls, text: str, data: Frame | None = None) -> Self:
        """The schema that a file holds, as `to_toml` wrote it or a person did.

        With the table that it is for, what the file leaves out is inferred: a column's levels or range, its kind,
        whole columns; and each column is checked. Raises `DataError` for text that is no schema, a key, kind or
        role that is unknown, a column that the table lacks, and a cell that does not fit.

        >>> table = pd.DataFrame({"dose": [1, 2, 3, 2], "sick": ["no", "yes", "no", "no"]})
        >>> schema = Schema.from_toml('[columns.dose]\\nkind = "ordinal"', table)
        >>> [(column.name, column.kind) for column in schema]
        [('dose', 'ordinal'), ('sick', 'binary')]
        """
        config = _tables_in(text)
        columns: dict[str, dict[str, Any]] = config["columns"]
        library = str(config.get("library", "pandas"))
        if data is None:
            return cls(tuple(Column.from_config(name, each) for name, each in columns.items()), library)
        table = table_of(data)
        _refuse_strangers(columns, list(table.frame))
        fitted = [
            Column.from_config(name, columns.get(name, {}), Seen(table.frame[name], name), dtype)
            for name, dtype in zip(table.frame, table.dtypes, strict=True)
        ]
        return cls(tuple(fitted), table.library)._with_something_to_model()

    def _codes(self, frame: pd.DataFrame) -> np.ndarray:
        codes = np.empty((len(frame), len(self.modelled)), np.float32)
        for place, column in enumerate(self.modelled):
            codes[:, place] = column.encode(frame[column.name])
        return codes

    def _fitting(self, table: Table) -> pd.DataFrame:
        here, known = list(table.frame), [column.name for column in self.columns]
        missing = next((column.name for column in self.modelled if column.name not in here), None)
        if missing is not None:
            raise DataError(
                f"column {missing!r} is missing: {_nearest(missing, here) or 'add it, empty where unknown'}"
            )
        new = [name for name in here if name not in known]
        if new:
            nearest = _nearest(new[0], known)
            raise DataError(f"column {new[0]!r} is new: {f'{nearest}, or drop it' if nearest else 'drop it'}")
        return table.frame

    def _checked(self, x: Tensor) -> np.ndarray:
        codes = x.detach().cpu().numpy().astype(np.float32, copy=False)
        if codes.ndim != 2 or codes.shape[1] != len(self.modelled):
            raise UsageError(
                f"x has shape {tuple(codes.shape)}: give it {len(self.modelled)} columns, one axis of rows"
            )
        return codes

    def _cells(self, codes: np.ndarray, column: Column) -> pd.Series:
        modelled = [each.name for each in self.modelled]
        within = column.name in modelled
        return column.decode(codes[:, modelled.index(column.name)] if within else np.zeros(len(codes), np.float32))

    def _decoded(self, codes: np.ndarray, table: Table | None) -> Any:
        library = LIBRARIES[self.library if table is None else table.library]
        own = {} if table is None else dict(zip(table.frame, table.dtypes, strict=True))
        told = [column for column in self.columns if column.modelled or _is_restored(column)]
        told = [column for column in told if table is None or column.name in own]
        dtypes = [own.get(column.name, column.dtype) for column in told]
        cells = {
            column.name: cast(self._cells(codes, column), library.pandas_type(dtype))
            for column, dtype in zip(told, dtypes, strict=True)
        }
        return library.write(pd.DataFrame(cells), dtypes)

    def _decoded_like(self, codes: np.ndarray, table: Table) -> Any:
        frame, library = self._fitting(table), LIBRARIES[table.library]
        before = dict(zip([column.name for column in self.modelled], self._codes(frame).T, strict=True))
        after = dict(zip(before, codes.T, strict=True))
        cells = {}
        for name, dtype in zip(frame, table.dtypes, strict=True):
            kept = frame[name]
            if name in before:
                kept = _kept(
                    kept, self[name].decode(after[name]), after[name] == before[name], library.pandas_type(dtype)
                )
            elif _is_restored(self[name]):
                kept = _kept(kept, self._cells(codes, self[name]), kept.notna().to_numpy(), library.pandas_type(dtype))
            cells[name] = kept
        return library.write(pd.DataFrame(cells), table.dtypes)


_HEAD = '# A schema of vaekit: change a kind, levels or a role ("model", "label" or "ignore"), and pass it back.\n'
_SCHEMA_KEYS = ("library", "columns")


def _tables_in(text: str) -> dict[str, Any]:
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"the schema is no TOML: {first_line(error)}; mend it there") from error
    for key in config:
        if key not in _SCHEMA_KEYS:
            raise DataError(f"the schema has a key {key!r}: columns are written as [columns.{key}]")
    if config.get("library", "pandas") not in LIBRARIES:
        raise DataError(str(unknown("library", str(config["library"]), LIBRARIES)))
    columns = config.setdefault("columns", {})
    odd = next((name for name, column in columns.items() if not isinstance(column, dict)), None)
    if odd is not None:
        raise DataError(f"the schema's column {odd!r} is no table: write it as [columns.{odd}]")
    return config


def _refuse_strangers(columns: Iterable[str], here: list[str]) -> None:
    stranger = next((name for name in columns if name not in here), None)
    if stranger is not None:
        nearest = get_close_matches(stranger, here, n=1)
        guess = f"did you mean {nearest[0]!r}?" if nearest else "take it out"
        raise DataError(
            f"column {stranger!r} of the schema is not in the table: {guess} (there: {', '.join(here[:10])})"
        )


def _is_restored(column: Column) -> bool:
    return column.role is Role.MODEL and isinstance(column.code, Constant)


def _kept(before: pd.Series, decoded: pd.Series, same: np.ndarray, dtype: str) -> pd.Series:
    """The decoded cells as the caller's type, those that are the same as before taken from there."""
    if bool(same.all()):
        return before
    after = cast(decoded.set_axis(before.index), dtype)
    if isinstance(after.dtype, pd.CategoricalDtype):
        return after
    return after.where(~same, before.astype(after.dtype))


def _summary(column: Column) -> Summary:
    missing = f"{100 * column.missing:.2g} %"
    remark = column.remark if column.role is Role.MODEL else f"{column.role.value}; {column.remark}".rstrip("; ")
    return Summary(column.name, column.kind, missing if column.missing else "", column.code.words, remark)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """What to say of the most similar name, whatever its capitals."""
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean {by_lower[found[0]]!r}? Rename it" if found else None


def _refuse_short(frame: pd.DataFrame) -> None:
    if not len(frame.columns):
        raise DataError("the table has no columns: give at least one that varies")
    if len(frame) < 2:
        rows = f"{len(frame)} row{'s' * (len(frame) != 1)}"
        raise DataError(f"a table of {rows} says nothing of how columns vary: give 2 or more")


def infer(data: Frame) -> Schema:
    """The schema that a frame seems to have: see `Schema.infer`.

    >>> infer(np.array([[0.5, 1], [-2.5, 0], [1.5, 1]])).modelled[1].kind
    'binary'
    """
    return Schema.infer(data)
