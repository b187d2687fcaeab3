"""Registries: where the strings of a command line or a config file become objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from vaekit.common.errors import unknown

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names to objects that answers a wrong name with the nearest right one.

    >>> schedules = Registry("schedule", {"linear": 1, "cosine": 2})
    >>> schedules["linera"]
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: unknown schedule 'linera': did you mean 'linear'? (known: cosine, linear)
    """

    def __init__(self, what: str, entries: Mapping[str, T] | None = None) -> None:
        self.what = what
        self._entries: dict[str, T] = dict(entries or {})

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise unknown(self.what, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, entry: T) -> None:
        """Add an entry under a new name."""
        if name in self._entries:
            raise ValueError(f"{self.what} {name!r} is registered twice")
        self._entries[name] = entry
