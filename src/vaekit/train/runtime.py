"""Where a run takes place."""

from __future__ import annotations

import torch

from vaekit.common.errors import UsageError
from vaekit.train.ranks.world import World, local_rank


def device_named(name: str) -> torch.device:
    """The device of this name; `auto` is the best there is.

    >>> device_named("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return _best_device()
    try:
        device = torch.device(name)
        torch.zeros((), device=device).item()  # "meta" is a device that holds no values
    except (RuntimeError, AssertionError):
        raise UsageError(f"device {name!r} is not there to compute on: choose auto, cpu{_accelerators()}") from None
    return device


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _accelerators() -> str:
    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return "".join(f", {name}" for name in found)


def describe(device: torch.device) -> str:
    """The device in words, for a record of a run."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def device_in(world: World, name: str) -> torch.device:
    """The device of this name for a rank of a world: of several on one machine each has a GPU of its own.

    >>> from vaekit.train.ranks.world import ALONE
    >>> device_in(ALONE, "cpu")
    device(type='cpu')
    """
    if world.size == 1:
        return device_named(name)
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    device = device_named(f"cuda:{local_rank() or 0}" if chosen == "cuda" else chosen)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
