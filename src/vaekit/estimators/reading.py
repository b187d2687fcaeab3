"""Readings: the rows of a caller as the numbers that a model explains, and numbers as such rows again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

import narwhals as nw
import numpy as np
import pandas as pd
import torch
from narwhals.dependencies import is_into_dataframe
from torch import Tensor

from vaekit.data.tables import Column, Schema, infer
from vaekit.data.tables.codes import Constant


class Reading(Protocol):
    """How rows of one kind become numbers `(n, columns)`, NaN where they are missing, and rows again."""

    demands: ClassVar[Mapping[str, Any]]
    """What `sklearn.utils.validation.validate_data` demands of the rows."""

    @classmethod
    def of(cls, X: Any) -> Self:
        """The reading of rows like these."""
        ...

    @property
    def schema(self) -> Schema:
        """What the columns are."""
        ...

    @property
    def empty(self) -> Sequence[object]:
        """The columns in which nothing was observed, by name or place."""
        ...

    def encode(self, X: Any) -> Tensor:
        """The rows as float32."""
        ...

    def decode(self, x: Tensor) -> Any:
        """Numbers as rows of the caller's type."""
        ...

    def filled(self, X: Any, x: Tensor) -> Any:
        """The caller's rows, with what is missing from numbers, and all else as it was."""
        ...


@dataclass(frozen=True)
class Arrays:
    """Arrays of numbers: each column is one of real values.

    >>> Arrays(2).encode(np.array([[1.0, np.nan]]))
    tensor([[1., nan]])
    """

    demands: ClassVar[Mapping[str, Any]] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
    columns: int
    empty: tuple[int, ...] = ()
    common: Mapping[int, np.ndarray] = field(default_factory=dict)
    """By place, the values that many rows have: what stands for them in float32 is these again, to the last digit."""

    @classmethod
    def of(cls, X: np.ndarray) -> Self:
        """See `Reading`."""
        empty = tuple(np.flatnonzero(np.isnan(X).all(0)).tolist())
        common = ((place, _common(column)) for place, column in enumerate(X.T))
        return cls(X.shape[1], empty, {place: values for place, values in common if len(values)})

    @property
    def schema(self) -> Schema:
        """See `Reading`."""
        return Schema(tuple(Column(f"x{at}", "numeric", "float64") for at in range(self.columns)))

    def encode(self, X: np.ndarray) -> Tensor:
        """See `Reading`."""
        return torch.from_numpy(X.astype(np.float32))

    def decode(self, x: Tensor) -> np.ndarray:
        """See `Reading`."""
        rows: np.ndarray = x.double().cpu().numpy()
        for place, values in self.common.items():
            same = rows[:, place, None].astype(np.float32) == values.astype(np.float32)
            rows[:, place] = np.where(same.any(1), values[same.argmax(1)], rows[:, place])
        return rows

    def filled(self, X: np.ndarray, x: Tensor) -> np.ndarray:
        """See `Reading`."""
        holes = np.isnan(X)
        holes[:, self.empty] = False
        return np.where(holes, self.decode(x), X)


def _common(column: np.ndarray) -> np.ndarray:
    """The values that a twentieth of the rows have, or more."""
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    return np.asarray(values[(counts > 1) & (counts * 20 >= counts.sum())])


@dataclass(frozen=True)
class Frames:
    """Frames of pandas, polars or Arrow: the kind of each column is inferred, and may be anything a schema knows."""

    demands: ClassVar[Mapping[str, Any]] = {"skip_check_array": True}
    schema: Schema
    like: Any
    """A frame without rows, of the caller's type."""

    @classmethod
    def of(cls, X: Any) -> Self:
        """See `Reading`."""
        return cls(infer(X), nw.from_native(X).head(0).to_native())

    @property
    def empty(self) -> list[str]:
        """See `Reading`."""
        codes = {column.name: column.code for column in self.schema.columns}
        return [name for name, code in codes.items() if isinstance(code, Constant) and code.value is None]

    def encode(self, X: Any) -> Tensor:
        """See `Reading`; an array is read as the columns in their order."""
        return self.schema.encode(X if is_into_dataframe(X) else pd.DataFrame(np.asarray(X), columns=self._names))

    @property
    def _names(self) -> list[str]:
        return [column.name for column in self.schema.columns]

    def decode(self, x: Tensor) -> Any:
        """See `Reading`."""
        return self.schema.decode(x.float().cpu(), like=self.like)

    def filled(self, X: Any, x: Tensor) -> Any:
        """See `Reading`."""
        before, after = nw.from_native(X), nw.from_native(self.schema.decode(x.float().cpu(), like=X))
        return before.with_columns(_filled(before[name], after[name]) for name in before.columns).to_native()


def _filled(before: nw.Series[Any], after: nw.Series[Any]) -> nw.Series[Any]:
    missing = before.is_null() | before.is_nan() if before.dtype.is_float() else before.is_null()
    return after.zip_with(missing, before) if missing.any() else before


def kind_of(X: Any) -> type[Reading]:
    """What reads rows like these.

    >>> kind_of([[1.0, 2.0]])
    <class 'vaekit.estimators.reading.Arrays'>
    """
    return Frames if is_into_dataframe(X) else Arrays
