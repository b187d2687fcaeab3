"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def names_in(package: str, home_of: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names are at home in other modules.

    >>> find = names_in("zoo", {"sqrt": "math"})
    >>> find("sqrt")(9.0)
    3.0
    >>> find("lion")
    Traceback (most recent call last):
    AttributeError: module 'zoo' has no attribute 'lion'
    """

    def find(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home_of[name]), name)

    return find
