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

    epochs: int = 50
    """Passes over the data, at most."""
    batch_size: int = 128
    """Examples to an update."""
    learning_rate: float = 1e-3
    """The optimiser's step size."""
    optimizer: str = "adam"
    """adam, adamw, adamax, sgd or momentum."""
    clip: float | None = None
    """Largest norm of the gradient."""
    ema: float | None = None
    """Decay of a moving average of the weights, which is then kept in their place."""
    validation: float = 0.1
    """Share of the rows held out for early stopping; 0 trains on all of them, to the last epoch."""
    patience: int = 10
    """Epochs without a better held-out ELBO before training stops."""
    binarize: str = "none"
    """none, dynamic (bits drawn afresh each time), static (drawn once) or threshold."""
    samples: int = 100
    """Importance samples for log p(x) of the test rows."""


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
