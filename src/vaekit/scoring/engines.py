"""Engines: who works on the parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from vaekit.common.errors import DataError, UsageError, VaekitError
from vaekit.common.registry import Registry
from vaekit.scoring.parts import Part

_FAULT: Final = "fault"

Tick = Callable[[int], None]
"""Told of rows that are done."""


class Work(Protocol):
    """What is to be done for a part; it can be pickled."""

    def __call__(self, part: Part, tick: Tick = ...) -> None:
        """Do it, and tell of the rows that are done on the way."""
        ...


Engine = Callable[[Work, Sequence[Part], Tick], Iterator[Part]]
"""Does some work for parts, tells of rows that are done, and yields each part when it is finished."""


def locally(work: Work, parts: Sequence[Part], tick: Tick) -> Iterator[Part]:
    """One part after another, in this process."""
    for part in parts:
        work(part, tick)
        yield part


def on_ray(work: Work, parts: Sequence[Part], tick: Tick) -> Iterator[Part]:
    """Parts side by side, as tasks of Ray Data, wherever the cluster has room.

    The model, the source and the folder of results must be seen by every machine under the same path.

    Raises `UsageError` where Ray is not installed.
    """
    ray = _ray()
    numbers = ray.data.from_items([part.number for part in parts], override_num_blocks=len(parts))
    done = numbers.map_batches(_PartsByNumber(work, {part.number: part for part in parts}), batch_size=1)
    try:
        for row in done.iter_rows():
            if row[_FAULT]:
                raise DataError(row[_FAULT])
            (part,) = (part for part in parts if part.number == row["item"])
            tick(len(part))
            yield part
    except ray.exceptions.RayError as error:
        raise VaekitError(f"Ray: {str(error).strip().splitlines()[0]}") from error


class _PartsByNumber:
    """The work as a function of a batch of numbers, as Ray Data hands it out; errors of ours come back as words."""

    def __init__(self, work: Work, parts: dict[int, Part]) -> None:
        self.work, self.parts = work, parts

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {**batch, _FAULT: [self._fault(self.parts[int(number)]) for number in batch["item"]]}

    def _fault(self, part: Part) -> str:
        try:
            self.work(part)
        except VaekitError as error:
            return str(error)
        return ""


def _ray() -> Any:
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise UsageError("the engine ray needs Ray: pip install 'vaekit[ray]', or choose --engine local") from error
    return ray


ENGINES: Registry[Engine] = Registry("engine", {"local": locally, "ray": on_ray})
"""The engines by the names they have on the command line."""
