"""Randomness that is seeded within a scope and leaves the global state as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's generators inside the block and give them back untouched after it.

    >>> with seeded(0):
    ...     a = torch.rand(3)
    >>> with seeded(0):
    ...     b = torch.rand(3)
    >>> bool((a == b).all())
    True
    """
    device = torch.device(device)
    accelerators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=accelerators):
        _seed(seed, device)
        yield


def _seed(seed: int, device: torch.device) -> None:
    """Seed the CPU and this device. `torch.manual_seed` would seed every accelerator, for the rest of the program."""
    if device.type not in ("cpu", "cuda"):
        torch.manual_seed(seed)
        return
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
