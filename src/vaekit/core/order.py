"""In which order the parts of a model are computed, found from what each of them reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vaekit.common.errors import UsageError

Reads = Mapping[str, tuple[str, ...]]


def in_order(reads: Reads, what: str) -> tuple[str, ...]:
    """The names in an order in which each comes after all it reads; as declared, where that allows it.

    >>> in_order({"z1": ("x", "z2"), "z2": ("x",)}, "posteriors")
    ('z2', 'z1')
    """
    waiting, ordered = list(reads), list[str]()
    while waiting:
        ready = next((name for name in waiting if not set(reads[name]) & set(waiting)), None)
        if ready is None:
            raise UsageError(f"the {what} of {', '.join(map(repr, waiting))} wait for each other: break the cycle")
        waiting.remove(ready)
        ordered.append(ready)
    return tuple(ordered)


def depending_on(root: str, reads: Reads) -> frozenset[str]:
    """The names that read `root`, directly or through others, and `root` itself."""
    found = {root}
    while more := {name for name, names in reads.items() if set(names) & found} - found:
        found |= more
    return frozenset(found)


def refuse_reading(names: Iterable[str], forbidden: frozenset[str], reader: str) -> None:
    """Refuse a generative part that reads what is only known after x."""
    for name in names:
        if name in forbidden:
            why = "" if name == "x" else f" {name!r}, which depends on"
            raise UsageError(f"{reader} reads{why} x: to generate, it can only read what is drawn before x")
