"""Files of results: arrays, tables and pictures, by the ending of their name."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from vaekit.cli.options import Place
from vaekit.common.errors import UsageError
from vaekit.common.files import refuse_existing, write_atomically
from vaekit.common.registry import Registry
from vaekit.report.pictures import grid, picture_for, png

Arrays = Mapping[str, Tensor]
"""What a job made, by name; the first is the main one."""


def _main(arrays: Arrays) -> Tensor:
    return next(iter(arrays.values()))


def _npy(arrays: Arrays) -> bytes:
    """The main array."""
    buffer = io.BytesIO()
    np.save(buffer, _main(arrays).numpy(), allow_pickle=False)
    return buffer.getvalue()


def _npz(arrays: Arrays) -> bytes:
    """Every array under its name."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{name: value.numpy() for name, value in arrays.items()})
    return buffer.getvalue()


def _csv(arrays: Arrays) -> bytes:
    """One line a row, the coordinates of each array as columns."""
    columns = {name: value.flatten(1) if value.dim() > 1 else value.unsqueeze(1) for name, value in arrays.items()}
    header = [
        name if value.dim() == 1 else f"{name}{index}"
        for name, value in arrays.items()
        for index in range(columns[name].shape[1])
    ]
    buffer = io.StringIO()
    rows = np.concatenate([value.numpy() for value in columns.values()], axis=1)
    np.savetxt(buffer, rows, delimiter=",", header=",".join(header), comments="", fmt="%.9g")
    return buffer.getvalue().encode()


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


def refuse_place(place: Place) -> None:
    """Refuse a place that cannot be written to, before any work is done."""
    WRITERS[place.out.suffix]
    refuse_existing(place.out, force=place.force)
    if not place.out.parent.is_dir():
        raise UsageError(f"{place.out.parent} is no folder: make it first, or choose another place")


def write(place: Place, arrays: Arrays) -> None:
    """Write results in the format that the name's ending asks for."""
    write_atomically(place.out, WRITERS[place.out.suffix](arrays))
