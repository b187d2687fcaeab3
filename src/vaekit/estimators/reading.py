"""Readings: the rows of a caller as the numbers that a model explains, and numbers as such rows again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

    @classmethod
    def of(cls, X: np.ndarray) -> Self:
        """See `Reading`."""
        return cls(X.shape[1], tuple(np.flatnonzero(np.isnan(X).all(0)).tolist()))

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
        return rows

    def filled(self, X: np.ndarray, x: Tensor) -> np.ndarray:
        """See `Reading`."""
        holes = np.isnan(X)
        holes[:, self.empty] = False
        return np.where(holes, self.decode(x), X)


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
