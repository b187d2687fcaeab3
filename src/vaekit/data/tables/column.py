"""One column of a table: its name, its kind, and how its cells are numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from vaekit.common.errors import CellError, DataError, UsageError, unknown
from vaekit.data.tables.codes import Code, Floats, Level, Levels, Numbers, numbers_in, text_of
from vaekit.data.tables.kinds import KINDS, Kind, kind_of
from vaekit.data.tables.plain import first_where
from vaekit.data.tables.seen import Seen

_ANY: Final = Numbers()


class Role(StrEnum):
    """What a column is for.

    >>> Role("label")
    <Role.LABEL: 'label'>
    """

    MODEL = "model"
    """It is modelled, if its kind is."""
    LABEL = "label"
    """It labels the rows, and is not modelled."""
    IGNORE = "ignore"
    """It is left out."""


@dataclass(frozen=True)
class Column:
    """A column: its kind is a name in `KINDS`, its code how cells become numbers and cells again.

    >>> column = Column.infer(pd.Series([8, 17, None, 80, 52]), "age")
    >>> column.kind, column.code.words, column.missing
    ('positive', '8 to 80', 0.2)
    """

    name: str
    kind: str
    dtype: str = "float64"
    """The type that its cells had in the caller's frame."""
    code: Code = _ANY
    role: Role = Role.MODEL
    missing: float = 0.0
    """The share of its cells that were missing."""
    remark: str = ""
    """What is worth saying on the choice of its kind."""

    @classmethod
    def infer(cls, series: pd.Series, name: str, dtype: str = "") -> Self:
        """The column that a series is, its kind chosen by what is seen; a `DataError` names a cell that is wrong."""
        seen = Seen(series, name)
        return cls.of_kind(kind_of(seen), seen, dtype or str(series.dtype))

    @classmethod
    def of_kind(cls, kind: str, seen: Seen, dtype: str) -> Self:
        """The column that a series is, as a column of this kind."""
        how = KINDS[kind]
        column = cls(seen.name, kind, dtype, how.code(seen), missing=seen.missing, remark=how.remark(seen))
        column.encode(seen.series)
        return column

    def to_config(self) -> dict[str, Any]:
        """The column as a file holds it, but for its name."""
        told = {"role": self.role.value if self.role is not Role.MODEL else "", "remark": self.remark}
        first = {"kind": self.kind, "dtype": self.dtype, **{key: value for key, value in told.items() if value}}
        return {**first, **({"missing": self.missing} if self.missing else {}), **self.code.to_config()}

    @classmethod
    def from_config(
        cls, name: str, config: Mapping[str, Any], seen: Seen | None = None, dtype: str = "float64"
    ) -> Self:
        """The column that a file describes; what it leaves out is taken from what is seen of a table's column.

        Raises `DataError` for a key that is unknown, one that is lacking, and a cell that is seen and does not fit.

        >>> Column.from_config("smokes", {"kind": "binary", "levels": ["no", "yes"]}).code
        Levels(levels=('no', 'yes'), ordered=False)
        """
        with _blaming_column(name):
            _refuse_unknown_keys(config)
            found = None if seen is None else cls.of_kind(_kind_in(config, seen), seen, dtype)
            told = {**(found.to_config() if found else {"dtype": dtype}), **config}
            code_type = KINDS[_kind_in(told)].code_type
            code = code_type.from_config({key: told[key] for key in _keys(code_type) if key in told})
            role = Role(_one_of(told.get("role", Role.MODEL.value), [each.value for each in Role], "role"))
            column = cls(
                name, told["kind"], told["dtype"], code, role, told.get("missing", 0.0), told.get("remark", "")
            )
        if seen is not None:
            column.encode(seen.series)
        return column

    @property
    def levels(self) -> tuple[Level, ...]:
        """Its levels, in order; none where it holds numbers or dates."""
        return self.code.levels if isinstance(self.code, Levels) else ()

    @property
    def modelled(self) -> bool:
        """Whether a model explains it."""
        return self.code.modelled and self.role is Role.MODEL

    @property
    def whole(self) -> bool:
        """Whether all its numbers that were seen are whole."""
        if isinstance(self.code, Numbers):
            return self.code.decimals == 0
        return bool(self.levels) and all(text_of(level).lstrip("-").isdigit() for level in self.levels)

    @property
    def _how(self) -> Kind:
        return KINDS[self.kind]

    def encode(self, series: pd.Series) -> Floats:
        """The cells as numbers, float32 `(n,)`, NaN where missing; a `DataError` names a cell that does not fit."""
        codes = self.code.encode(series, self.name)
        if isinstance(self.code, Numbers):
            self._refuse_wrong(numbers_in(series, self.name, self.code.text))
        return codes

    def _refuse_wrong(self, values: np.ndarray) -> None:
        row = first_where(self._how.wrong(values))
        if row is not None:
            raise CellError(
                self.name,
                row,
                f"holds {values[row]:g}, but {self.kind} must be {self._how.must}: "
                'mend the cell, or give the column kind = "numeric" in its schema',
            )

    def decode(self, codes: Floats) -> pd.Series:
        """The cells that numbers stand for."""
        return self.code.decode(codes)

    def as_role(self, role: Role) -> Self:
        """The same column, for another role."""
        return replace(self, role=role)


_OWN = ("kind", "dtype", "role", "missing", "remark")


def _keys(code_type: type[Code]) -> list[str]:
    return [field.name for field in fields(code_type)]  # type: ignore[arg-type]


def _refuse_unknown_keys(config: Mapping[str, Any]) -> None:
    known = [*_OWN, *(key for kind in KINDS.values() for key in _keys(kind.code_type))]
    for key in config:
        _one_of(key, known, "key")


def _kind_in(config: Mapping[str, Any], seen: Seen | None = None) -> str:
    if "kind" in config:
        return _one_of(config["kind"], KINDS, "kind")
    if seen is None:
        raise DataError(f"it has no kind: give it one of {', '.join(KINDS)}")
    return kind_of(seen)


def _one_of(name: str, known: Iterable[str], what: str) -> str:
    if name not in known:
        raise unknown(what, str(name), set(known))
    return name


@contextmanager
def _blaming_column(name: str) -> Iterator[None]:
    try:
        yield
    except (DataError, UsageError) as error:
        said = str(error)
        raise DataError(said if repr(name) in said else f"column {name!r} of the schema: {said}") from error
