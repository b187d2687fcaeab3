"""Settings from Python, a config file or the command line, as the types they are declared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, get_args

from vaekit.common.errors import UsageError


def as_type(declared: Any, value: object, name: str) -> Any:
    """A setting as its declared type: a number, a word, true or false, or whole numbers in a row, any of them or None.

    Raises `UsageError` that names the setting.

    >>> as_type(tuple[int, ...] | None, "300,100", "hidden")
    (300, 100)
    >>> as_type(int, 2.5, "latent")
    Traceback (most recent call last):
    vaekit.common.errors.UsageError: setting 'latent' is 2.5: it must be a whole number
    """
    choices = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    if value is None and type(None) in choices:
        return None
    return CONVERT.get(next(choice for choice in choices if choice is not type(None)), _integers)(value, name)


def _integers(value: object, name: str) -> tuple[int, ...]:
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    return tuple(_whole(item, name) for item in items if item != "")


def _real(value: object, name: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError(f"setting {name!r} is {value!r}: it must be a number") from None


def _whole(value: object, name: str) -> int:
    number = _real(value, name)
    if not number.is_integer():
        raise UsageError(f"setting {name!r} is {value!r}: it must be a whole number")
    return int(number)


def _word(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"setting {name!r} is {value!r}: it must be a word")
    return value


def _yes_or_no(value: object, name: str) -> bool:
    known = {"true": True, "false": False}
    if str(value).lower() not in known:
        raise UsageError(f"setting {name!r} is {value!r}: it must be true or false")
    return known[str(value).lower()]


CONVERT: dict[Any, Callable[[object, str], Any]] = {bool: _yes_or_no, float: _real, int: _whole, str: _word}
