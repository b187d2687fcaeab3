"""Arrays as data: in Python, and in NumPy's .npy and .npz files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from vaekit.common.errors import DataError
from vaekit.data.dataset import Dataset, Splits, refuse_infinite, refuse_nonfinite
from vaekit.data.layout import canonical_labels, canonical_rows
from vaekit.data.reading import blaming


def dataset(
    x: ArrayLike | Tensor, y: ArrayLike | Tensor | None = None, name: str = "", *, holes: bool = False
) -> Dataset:
    """A dataset from arrays or tensors: rows `x` in any form `canonical_rows` knows, labels `y` (n,) or None.

    With `holes`, a NaN is a value that is missing. A `DataError` says what does not fit: the shape, the dtype, a row
    with NaN, labels that are too few.

    >>> dataset(np.zeros((2, 8, 8)), [0, 1], name="blank")
    Dataset(blank: 2 images of 1 x 8 x 8, float32, labelled)
    """
    labels = None if y is None else canonical_labels(y)
    return (refuse_infinite if holes else refuse_nonfinite)(Dataset(canonical_rows(x), labels, name))


@dataclass(frozen=True)
class Role:
    """What an array in a .npz file can be, and the names it then goes by, in any case of letters.

    >>> Role("test rows", ("x_test", "test_x")).key(["y", "X_test"])
    'X_test'
    """

    what: str
    names: tuple[str, ...]

    def key(self, keys: Sequence[str]) -> str | None:
        """The one of `keys` that plays this role, or None; a `DataError` if there are two."""
        found = [key for key in keys if key.lower() in self.names]
        if len(found) > 1:
            raise DataError(f"{found[0]!r} and {found[1]!r} could both be the {self.what}: keep one of them")
        return found[0] if found else None


TRAIN_X = Role("training rows", ("x", "x_train", "train_x", "train_images", "images", "data"))
TRAIN_Y = Role("training labels", ("y", "y_train", "train_y", "train_labels", "labels", "target", "targets"))
TEST_X = Role("test rows", ("x_test", "test_x", "test_images"))
TEST_Y = Role("test labels", ("y_test", "test_y", "test_labels"))


def numpy_file(path: Path) -> Splits:
    """The splits in a .npy file, training rows alone, or a .npz file, an array for each role.

    In a .npz all roles but `TRAIN_X` are optional, and a sole array is the training rows, whatever its name.
    Nothing pickled is ever loaded. Every `DataError` names the file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "toy.npz")
    ...     np.savez(path, x_train=np.eye(3), y_train=[0, 1, 2], x_test=np.eye(3)[:1])
    ...     numpy_file(path).train
    Dataset(toy train: 3 rows of 3, float32, labelled)
    """
    with blaming(path):
        arrays = _read(path)
        train = dataset(arrays[TRAIN_X], arrays.get(TRAIN_Y), f"{path.stem} train", holes=True)
        test = (
            dataset(arrays[TEST_X], arrays.get(TEST_Y), f"{path.stem} test", holes=True) if TEST_X in arrays else None
        )
        return Splits(train, test, name=path.stem, source=str(path.absolute()))


def _read(path: Path) -> dict[Role, np.ndarray]:
    try:
        with _opened(path) as arrays:
            return {role: arrays[key] for role, key in _cast(list(arrays)).items()}
    except (DataError, OSError):
        raise
    except Exception as error:  # numpy.load parses foreign bytes, and fails on them in more ways than it documents
        mend = "save it anew by numpy.save or numpy.savez"
        raise DataError(f"is cut short, not NumPy's, or pickled, which is never loaded: {mend}") from error


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        yield {"x": loaded} if isinstance(loaded, np.ndarray) else loaded


def _cast(keys: Sequence[str]) -> dict[Role, str]:
    """The key that plays each role."""
    if len(keys) == 1:
        return {TRAIN_X: keys[0]}
    cast = {role: key for role in (TRAIN_X, TRAIN_Y, TEST_X, TEST_Y) if (key := role.key(keys)) is not None}
    if TRAIN_X not in cast:
        looked_for = ", ".join(TRAIN_X.names)
        raise DataError(
            f"no {TRAIN_X.what} among its arrays ({', '.join(keys) or 'none'}): name them one of {looked_for}"
        )
    return cast
