"""Files of results: arrays, tables and pictures, by the ending of their name."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from torch import Tensor

from vaekit.cli.options import Place
from vaekit.common.errors import UsageError
from vaekit.common.files import refuse_existing, write_atomically
from vaekit.common.registry import Registry
from vaekit.report.pictures import grid, picture_for, png

if TYPE_CHECKING:
    from vaekit.data.tables import Schema

Arrays = Mapping[str, Tensor]
"""What a job made, by name; the first is the main one."""


def _main(arrays: Arrays) -> Tensor:
    return next(iter(arrays.values()))


def _npy(arrays: Arrays) -> bytes:
    """The main array."""
    return npy_bytes(_main(arrays).numpy())


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as a .npy file has it."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _npz(arrays: Arrays) -> bytes:
    """Every array under its name."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{name: value.numpy() for name, value in arrays.items()})
    return buffer.getvalue()


def _csv(arrays: Arrays) -> bytes:
    """One line a row, the coordinates of each array as columns."""
    found = as_columns(arrays)
    buffer = io.StringIO()
    rows = np.stack(list(found.values()), axis=1)
    np.savetxt(buffer, rows, delimiter=",", header=",".join(found), comments="", fmt="%.9g")
    return buffer.getvalue().encode()


def as_columns(arrays: Arrays) -> dict[str, np.ndarray]:
    """The coordinates of arrays, `(n,)` each, by the array's name and, where it has several, their number.

    >>> import torch
    >>> list(as_columns({"score": torch.zeros(3), "z": torch.zeros(3, 2)}))
    ['score', 'z0', 'z1']
    """
    found: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        each = {name: value} if value.dim() == 1 else _coordinates(name, value)
        found |= {column: values.numpy() for column, values in each.items()}
    return found


def _coordinates(name: str, value: Tensor) -> dict[str, Tensor]:
    return {f"{name}{index}": values for index, values in enumerate(value.flatten(1).T)}


def _png(arrays: Arrays) -> bytes:
    """A sheet of examples: one line for each way `(n, steps, *image)`, else about as many lines as columns."""
    x = _main(arrays)
    if x.dim() not in (4, 5):
        raise UsageError(f"a .png holds images, not arrays of shape {tuple(x.shape)}: write .npy, .npz or .csv")
    columns = x.shape[1] if x.dim() == 5 else math.ceil(math.sqrt(len(x)))
    images = x.reshape(-1, *x.shape[-3:])
    picture = picture_for(images)
    return png(grid([picture.tile(image) for image in images], columns))


WRITERS: Registry[Callable[[Arrays], bytes]] = Registry(
    "ending of a file", {".npy": _npy, ".npz": _npz, ".csv": _csv, ".png": _png}
)


@dataclass(frozen=True)
class Framed:
    """What a job made of a table: rows with its columns' names and types, and what stands beside them."""

    frame: Any
    """A pandas frame."""
    schema: Schema
    added: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Columns that are added, `(n,)` each, after those of the table."""
    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """What the rows go through, the first most slowly, as draws of all rows do: columns before those of the table."""

    @property
    def columns(self) -> list[str]:
        """The names of all columns, in order."""
        return [*self.axes, *map(str, self.frame), *self.added]

    def whole(self) -> Any:
        """All columns in one frame."""
        clash = next((name for name in (*self.axes, *self.added) if name in self.frame), None)
        if clash is not None:
            raise UsageError(f"the table has a column {clash!r} already: rename it, or write a .npy")
        where = dict(zip(self.axes, _gone_through(tuple(self.axes.values())), strict=True))
        return self.frame.assign(**where, **self.added)[self.columns]

    def numbers(self) -> np.ndarray:
        """What is added, where there is anything; else the rows as the schema encodes them, `(*axes, columns)`."""
        if self.added:
            return np.stack(list(self.added.values()), axis=1)
        codes = self.schema.encode(self.frame).numpy()
        return codes.reshape(*map(len, self.axes.values()), *codes.shape[1:]) if self.axes else codes


def _gone_through(axes: Sequence[Sequence[Any]]) -> list[np.ndarray]:
    """The value of each axis at every row.

    >>> [values.tolist() for values in _gone_through(([1, 2], [0, 5, 9]))]
    [[1, 1, 1, 2, 2, 2], [0, 5, 9, 0, 5, 9]]
    """
    return [values.ravel() for values in np.meshgrid(*axes, indexing="ij")]


@dataclass(frozen=True)
class Text:
    """Text: a line of names, and one for each row."""

    separator: str

    def __call__(self, made: Framed) -> bytes:
        text: str = _without_points(made.whole(), made.schema).to_csv(
            index=False, sep=self.separator, lineterminator="\n"
        )
        return text.encode()


def _without_points(frame: Any, schema: Schema) -> Any:
    """The frame, with whole numbers that stand as floats, as beside missing ones, written as whole numbers."""
    whole = {column.name for column in schema.columns if column.whole} & set(frame)
    floats = [name for name in frame if name in whole and frame[name].dtype.kind == "f"]
    return frame.astype({name: "Int64" for name in floats if (frame[name].dropna() % 1 == 0).all()})


@dataclass(frozen=True)
class Binary:
    """A file that pyarrow writes, with the types of its columns."""

    method: str
    """The frame's method that writes it."""

    def __call__(self, made: Framed) -> bytes:
        buffer = io.BytesIO()
        try:
            getattr(made.whole().reset_index(drop=True), self.method)(buffer)
        except ImportError as error:
            raise UsageError("this needs pyarrow: pip install 'vaekit[parquet]', or write a .csv") from error
        return buffer.getvalue()


def _numbers(made: Framed) -> bytes:
    """What is added, or the rows as the schema encodes them, as a .npy file."""
    return npy_bytes(made.numbers())


FRAME_WRITERS: Registry[Callable[[Framed], bytes]] = Registry(
    "ending of a file of a table",
    {
        ".csv": Text(","),
        ".tsv": Text("\t"),
        ".parquet": Binary("to_parquet"),
        ".feather": Binary("to_feather"),
        ".npy": _numbers,
    },
)
"""What writes the rows of a table."""


class Endings(Protocol):
    """Endings of names that are known."""

    def __getitem__(self, ending: str) -> Any:
        """What writes such a file; a `UsageError` for one that is not known."""
        ...


def refuse_place(place: Place, endings: Endings = WRITERS) -> None:
    """Refuse a place that cannot be written to, before any work is done."""
    endings[place.out.suffix]
    refuse_existing(place.out, force=place.force)
    if not place.out.parent.is_dir():
        raise UsageError(f"{place.out.parent} is no folder: make it first, or choose another place")


def is_known(path: Path) -> bool:
    """Whether a name ends as files of results do."""
    return path.suffix in WRITERS or path.suffix in FRAME_WRITERS


def write(place: Place, made: Arrays | Framed) -> None:
    """Write results in the format that the name's ending asks for."""
    if isinstance(made, Framed):
        write_atomically(place.out, FRAME_WRITERS[place.out.suffix](made))
    else:
        write_atomically(place.out, WRITERS[place.out.suffix](made))
