"""Randomness that is seeded within a scope and leaves the global state as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


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
        reseed(seed, device)
        yield


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's generators: the CPU's, and this device's, each by the kind of its device.

    >>> before = random_state(torch.device("cpu"))
    >>> drawn = torch.rand(3)
    >>> set_random_state(before, torch.device("cpu"))
    >>> bool((torch.rand(3) == drawn).all())
    True
    """
    state = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        state[device.type] = torch.get_device_module(device).get_rng_state(device)
    return state


def set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Give torch's generators a state that `random_state` has read; of other kinds of devices nothing is taken."""
    torch.set_rng_state(state["cpu"])
    if device.type != "cpu" and device.type in state:
        torch.get_device_module(device).set_rng_state(state[device.type], device)


def reseed(seed: int, device: torch.device) -> None:
    """Seed the CPU and this device. `torch.manual_seed` would seed every accelerator, for the rest of the program."""
    if device.type not in ("cpu", "cuda"):
        torch.manual_seed(seed)
        return
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
