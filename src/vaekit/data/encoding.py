"""How stored values become the x that a model explains: scaled, and binarised or not."""

from __future__ import annotations

import hashlib
import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from vaekit.common.errors import RowError, UsageError, unknown
from vaekit.common.registry import Registry
from vaekit.data.dataset import Dataset, first_row, refuse_nonfinite

_CHUNK = 4096


def scaled(raw: Tensor) -> Tensor:
    """Bytes as greys, raw / 255 in float32; floats as they are.

    >>> scaled(torch.tensor([0, 51, 255], dtype=torch.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """
    return raw.to(torch.float32).div_(255) if raw.dtype == torch.uint8 else raw


class Binarize(Protocol):
    """How greys in [0, 1] become bits, or stay greys."""

    @property
    def rowwise(self) -> bool:
        """Whether `prepare` does to each row what it does where the row is alone."""
        ...

    @property
    def words(self) -> str:
        """What is done to the values, as in "digits, {words}"."""
        ...

    def prepare(self, dataset: Dataset) -> Dataset:
        """Check the dataset and do to it what is done once; a `DataError` names a row out of range."""
        ...

    def draw(self, x: Tensor) -> Tensor:
        """Do to scaled values x `(batch, *event)` what is done each time they are seen; unchecked."""
        ...


@dataclass(frozen=True)
class Greys:
    """Values stay as they are.

    >>> Greys().draw(torch.tensor([0.25]))
    tensor([0.2500])
    """

    @property
    def rowwise(self) -> bool:
        """No row's preparation depends on the others."""
        return True

    @property
    def words(self) -> str:
        """What is done to the values."""
        return "values as they are, bytes scaled to [0, 1]"

    def prepare(self, dataset: Dataset) -> Dataset:
        """The dataset as it is; any range will do."""
        return dataset

    def draw(self, x: Tensor) -> Tensor:
        """The values as they are."""
        return x


@dataclass(frozen=True)
class Dynamic:
    """A fresh draw b ~ Bernoulli(x) each time a grey x is seen, from torch's current generator.

    Salakhutdinov and Murray (2008); Burda, Grosse and Salakhutdinov (2015).

    >>> Dynamic().draw(torch.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """

    @property
    def rowwise(self) -> bool:
        """No row's preparation depends on the others."""
        return True

    @property
    def words(self) -> str:
        """What is done to the values."""
        return "binarised afresh each time it is seen"

    def prepare(self, dataset: Dataset) -> Dataset:
        """The dataset as it is, once its values are known to be in [0, 1]."""
        return _probabilities(dataset)

    def draw(self, x: Tensor) -> Tensor:
        """One bit for each grey, with the grey as its mean; what is missing stays missing."""
        return (torch.rand_like(x) < x).to(x.dtype) + 0 * x


@dataclass(frozen=True)
class Threshold:
    """1 where the grey exceeds `at`, which lies in [0, 1), else 0.

    >>> Threshold().draw(torch.tensor([0.5, 0.6]))
    tensor([0., 1.])
    """

    at: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.at < 1:
            raise UsageError(f"a threshold of {self.at} parts no greys: choose one from 0 up to, but not, 1")

    @property
    def rowwise(self) -> bool:
        """No row's preparation depends on the others."""
        return True

    @property
    def words(self) -> str:
        """What is done to the values."""
        return f"binarised: 1 where the grey exceeds {self.at:g}"

    def prepare(self, dataset: Dataset) -> Dataset:
        """The dataset as it is, once its values are known to be in [0, 1]."""
        return _probabilities(dataset)

    def draw(self, x: Tensor) -> Tensor:
        """One bit for each grey."""
        return (x > self.at).to(x.dtype) + 0 * x


@dataclass(frozen=True)
class Static:
    """One draw b ~ Bernoulli(x) for each grey x, made once and kept.

    The draws come from a generator seeded by `seed` and a digest of the rows: they are the same for the same
    rows in the same order, whoever asks and whenever, and different splits have different streams.
    They are not the fixed draws that Larochelle and Murray (2011) published.

    >>> rows = Dataset(torch.full((1, 4), 127, dtype=torch.uint8))
    >>> bool((Static().prepare(rows).x == Static().prepare(rows).x).all())
    True
    """

    seed: int = 0

    def __post_init__(self) -> None:
        if operator.index(self.seed) < 0:
            raise UsageError(f"a seed of {self.seed} is negative: choose a whole number from 0 on")

    @property
    def rowwise(self) -> bool:
        """The draws depend on all rows together."""
        return False

    @property
    def words(self) -> str:
        """What is done to the values."""
        return f"binarised once, with seed {self.seed}"

    def prepare(self, dataset: Dataset) -> Dataset:
        """The dataset with each grey replaced by its draw, stored as the bytes 0 and 255."""
        greys = refuse_nonfinite(_probabilities(dataset)).x.cpu()
        generator = torch.Generator().manual_seed(_digest(self.seed, greys))
        drawn = torch.cat([_bits(rows, generator) for rows in torch.split(greys, _CHUNK)])
        return replace(dataset, x=drawn.to(dataset.x.device))

    def draw(self, x: Tensor) -> Tensor:
        """The values as they are: `prepare` has drawn them."""
        return x


BINARIZE: Registry[Callable[..., Binarize]] = Registry(
    "binarisation", {"dynamic": Dynamic, "static": Static, "threshold": Threshold, "none": Greys}
)
"""The binarisations by the names they have on the command line and in config files."""


@dataclass(frozen=True)
class Encoding:
    """How stored values become what the model explains: `prepare` a dataset once, then `encode` each batch.

    >>> encoding = Encoding(Threshold(at=0.2))
    >>> encoding.encode(torch.tensor([[0, 51, 52]], dtype=torch.uint8))
    tensor([[0., 0., 1.]])
    >>> encoding.to_config()
    {'binarize': 'threshold', 'at': 0.2}
    """

    binarize: Binarize

    @property
    def words(self) -> str:
        """What is done to the values."""
        return self.binarize.words

    def prepare(self, dataset: Dataset) -> Dataset:
        """What is done once: a check of the values' range, and the draws of a static binarisation."""
        return self.binarize.prepare(dataset)

    def prepare_each(self, dataset: Dataset) -> Dataset:
        """The same, where each row is prepared as if it were alone.

        >>> three = Dataset(torch.full((3, 64), 127, dtype=torch.uint8))
        >>> bool((Encoding(Static()).prepare_each(three).x == Encoding(Static()).prepare(three.head(1)).x).all())
        True
        """
        if self.binarize.rowwise:
            return self.prepare(dataset)
        return replace(dataset, x=torch.cat([self._prepared_alone(dataset, row) for row in range(len(dataset))]))

    def _prepared_alone(self, dataset: Dataset, row: int) -> Tensor:
        try:
            return self.prepare(dataset.take([row])).x
        except RowError as error:
            raise error.moved(row) from error

    def encode(self, raw: Tensor) -> Tensor:
        """A batch `raw`, `(batch, *event)`, of a prepared dataset, bytes or floats, as the model is to see it."""
        return self.binarize.draw(scaled(raw))

    def to_config(self) -> dict[str, str | int | float]:
        """The encoding as a config file has it.

        >>> Encoding(Static(seed=3)).to_config()
        {'binarize': 'static', 'seed': 3}
        """
        name = next(name for name, kind in BINARIZE.items() if kind is type(self.binarize))
        return {"binarize": name, **vars(self.binarize)}

    @classmethod
    def from_config(cls, config: Mapping[str, str | int | float]) -> Encoding:
        """The encoding that `to_config` wrote; a `UsageError` names a key or value that is unknown.

        >>> Encoding.from_config({"binarize": "static", "seed": 3})
        Encoding(binarize=Static(seed=3))
        """
        if "binarize" not in config:
            raise UsageError(f"the encoding lacks its key 'binarize': give it one of {', '.join(BINARIZE)}")
        options = {key: value for key, value in config.items() if key != "binarize"}
        return cls(_made(BINARIZE[str(config["binarize"])], options))


def _made(kind: Callable[..., Binarize], options: Mapping[str, str | int | float]) -> Binarize:
    known = inspect.signature(kind).parameters
    for key in options.keys() - known.keys():
        raise unknown("encoding key", key, ["binarize", *known])
    try:
        return kind(**options)
    except TypeError as error:
        raise UsageError(f"the encoding's {options} are of the wrong type: {error}") from error


def _probabilities(dataset: Dataset) -> Dataset:
    """The dataset as it is, or a `DataError` that names its first row outside [0, 1]; bytes are inside."""
    if dataset.x.dtype == torch.uint8:
        return dataset
    row = first_row((dataset.x < 0) | (dataset.x > 1))
    if row is not None:
        raise RowError(row, "x", "has values outside [0, 1], which cannot be binarised: rescale x or binarise none")
    return dataset


def _digest(seed: int, rows: Tensor) -> int:
    """64 bits that depend on the seed and on each value, its place and its type."""
    digest = hashlib.sha256(f"{seed} {rows.dtype} {tuple(rows.shape)}".encode())
    digest.update(rows.contiguous().numpy().data.cast("B"))
    return int.from_bytes(digest.digest()[:8], "little")


def _bits(rows: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.rand(rows.shape, generator=generator) < scaled(rows)).to(torch.uint8) * 255
