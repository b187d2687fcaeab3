"""The IDX format, in which MNIST and its successors are published.

A file is a magic number (two zero bytes, a type code, the number of axes), the length of each axis as a
big-endian 32-bit whole number, then the values, big-endian, the last axis fastest.
LeCun, Cortes and Burges (1998).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vaekit.common.errors import DataError
from vaekit.data.arrays import dataset
from vaekit.data.dataset import Dataset, Splits
from vaekit.data.reading import blaming

DTYPES: dict[int, np.dtype] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
"""The type codes of the format."""


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, plain, .gz or .xz, in the machine's own byte order.

    A `DataError` names a file that is empty, cut short, too long or of another format.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    with blaming(path):
        return parse_idx(_READERS.get(path.suffix, Path.read_bytes)(path))


def parse_idx(data: bytes) -> np.ndarray:
    """The array that the bytes of an IDX file stand for.

    >>> parse_idx(bytes([0, 0, 11, 1, 0, 0, 0, 1, 255, 254]))
    array([-2], dtype=int16)
    """
    dtype, shape, start = _header(data)
    promised = start + math.prod(shape) * dtype.itemsize
    if len(data) != promised:
        raise DataError(f"holds {len(data)} bytes but its header promises {promised}: damaged, fetch it again")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def idx_folder(path: Path) -> Splits:
    """The splits in a folder that holds files named as MNIST's are, plain, .gz or .xz.

    `train-images-idx3-ubyte` must be there; `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    `t10k-labels-idx1-ubyte` may be; `train-images.idx3-ubyte` and the like are known too.
    Every `DataError` names the folder or the file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     image = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255])
    ...     _ = Path(folder, "train-images-idx3-ubyte").write_bytes(image)
    ...     idx_folder(Path(folder)).train.x
    tensor([[[[  0, 255]]]], dtype=torch.uint8)
    """
    name = path.resolve().name
    train = _split(path, "train", f"{name} train")
    if train is None:
        raise DataError(f"{path}: no train-images-idx3-ubyte in this folder, nor one with .gz or .xz: put it there")
    with blaming(path):
        return Splits(train, _split(path, "t10k", f"{name} test"), name=name, source=str(path.absolute()))


def _split(folder: Path, stem: str, name: str) -> Dataset | None:
    images, labels = _find(folder, stem, "images", 3), _find(folder, stem, "labels", 1)
    if images is None:
        return None
    x, y = read_idx(images), None if labels is None else read_idx(labels)
    with blaming(images):
        return dataset(x, y, name)


def _find(folder: Path, stem: str, what: str, axes: int) -> Path | None:
    names = (f"{stem}-{what}{mark}idx{axes}-ubyte{suffix}" for mark in "-." for suffix in ("", *_READERS))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _header(data: bytes) -> tuple[np.dtype, tuple[int, ...], int]:
    """The dtype, the shape, and where the values start."""
    if not data:
        raise DataError("is empty: fetch it again")
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in DTYPES:
        raise DataError(f"is no IDX file (it begins with {data[:4].hex(' ')}): give one, plain, .gz or .xz")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise DataError(f"ends within its header, after {len(data)} bytes: damaged, fetch it again")
    return DTYPES[data[2]], struct.unpack_from(f">{data[3]}I", data, 4), start


def _gunzip(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"is no whole gzip file ({error}): fetch it again") from error


def _unxz(path: Path) -> bytes:
    try:
        import lzma
    except ImportError as error:
        raise DataError("needs Python's lzma module, which this build lacks: install liblzma and rebuild it") from error
    try:
        return lzma.decompress(path.read_bytes())
    except lzma.LZMAError as error:
        raise DataError(f"is no whole xz file ({error}): fetch it again") from error


_READERS: dict[str, Callable[[Path], bytes]] = {".gz": _gunzip, ".xz": _unxz}
