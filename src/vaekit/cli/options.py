"""The options that verbs share, as dataclasses; a config file and the environment use the same names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """How a verb speaks."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Print the result as JSON on standard output."""
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="")] = False
    """No progress, no remarks."""
    debug: Annotated[bool, Parameter(negative="")] = False
    """Show the traceback of an error."""


@Parameter(name="*")
@dataclass(frozen=True)
class Training:
    """How to train."""

    epochs: int | None = None
    """Passes over the data, at most: 50, or for a table by its size."""
    batch_size: int | None = None
    """Examples to an update: 128, or for a table by its size."""
    learning_rate: float | None = None
    """The optimiser's step size: 0.001, or for a table by its size."""
    optimizer: str = "adam"
    """adam, adamw, adamax, sgd or momentum."""
    clip: float | None = None
    """Largest norm of the gradient; a longer one is scaled down to it."""
    skip: float | None = None
    """Largest norm of a gradient that is used at all; an update with a longer one is skipped."""
    ema: float | None = None
    """Decay of a moving average of the weights, which is then kept in their place."""
    precision: str = "auto"
    """What the nets compute in while they learn: float32, bfloat16, or auto, which on a GPU allows TF32."""
    validation: float | None = None
    """Share of the rows held out for early stopping: 0.1, or for a table by its size; 0 trains to the last epoch."""
    patience: int | None = None
    """Epochs without a better held-out ELBO before training stops: 10, or for a table by its size."""
    binarize: str = "none"
    """none, dynamic (bits drawn afresh each time), static (drawn once) or threshold."""
    memory: int = 1024
    """MiB of rows held at once; a .npy, Parquet or Arrow file, or a folder, whose rows take more is streamed."""
    strategy: str = "ddp"
    """Under torchrun: ddp, each rank has all weights, or fsdp, each has a piece of every net's."""
    compile: bool = False
    """Compile the gradient as a whole first: takes up to a minute, and pays in long runs on a GPU."""
    checkpoint_minutes: float = 10.0
    """Minutes between checkpoints within an epoch; after an epoch there is one, where that takes little of the time."""
    samples: int = 100
    """Importance samples for log p(x) of the test rows."""


@Parameter(name="*")
@dataclass(frozen=True)
class Bulk:
    """How rows are read from a table, and parts written to a folder."""

    columns: str | None = None
    """The columns that are x, in order: a,b,c. Needed where they cannot be told from the others."""
    labels: str | None = None
    """The column of labels, for a model that reads them."""
    keep: str | None = None
    """The columns to write beside what is added: id,name; all that the model does not read if left out, '' for none."""
    format: str = "auto"
    """Of the parts: parquet, csv or npy (what is added alone); auto is Parquet where pyarrow is installed, else CSV."""
    part_rows: int = 65536
    """Rows to a part."""
    engine: str = "local"
    """local, or ray: parts side by side on a Ray cluster."""


@Parameter(name="*")
@dataclass(frozen=True)
class Machine:
    """Where to run, and from which seed."""

    seed: int = 0
    """The seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""


@Parameter(name="*")
@dataclass(frozen=True)
class Place:
    """Where results go."""

    out: Annotated[Path, Parameter(name=("--out", "-o"))]
    """Where to write."""
    force: Annotated[bool, Parameter(negative="")] = False
    """Write over what is there."""
