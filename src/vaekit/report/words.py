"""Numbers as a reader wants them: signs that print well, thousands apart, no digit that says nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 2) -> str:
    """A number with a true minus sign; a large one without its decimals.

    >>> number(-105.318), number(12345.6), number(math.inf), number(math.nan)
    ('−105.32', '12,346', '∞', 'not a number')
    """
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    shown = f"{value:,.{0 if abs(value) >= 10_000 else digits}f}"
    return shown.replace("-", MINUS)


def error(value: float) -> str:
    """A standard error as " ± 0.012", to two figures that count; nothing where there is none.

    >>> error(0.012345), error(math.nan)
    (' ± 0.012', '')
    """
    if not math.isfinite(value):
        return ""
    decimals = 1 - math.floor(math.log10(value)) if value > 0 else 2
    return f" ± {value:.{max(0, min(decimals, 6))}f}"


def count(n: int, thing: str, things: str = "") -> str:
    """So many things.

    >>> count(1, "epoch"), count(60000, "image")
    ('1 epoch', '60,000 images')
    """
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"


def duration(seconds: float) -> str:
    """A time in the unit it is told in.

    >>> duration(7.31), duration(38.4), duration(600), duration(9000)
    ('7.3 s', '38 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def percent(share: float) -> str:
    """A share of 1; nothing where there is none.

    >>> percent(0.1234), percent(0.004), percent(math.nan)
    ('12 %', '0.4 %', '')
    """
    if math.isnan(share):
        return ""
    return f"{100 * share:.{1 if share < 0.01 else 0}f} %"


def listed(names: Sequence[str]) -> str:
    """Names in a row.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def sentence(words: str) -> str:
    """Words with a capital at their beginning.

    >>> sentence("no latent is in use")
    'No latent is in use'
    """
    return words[:1].upper() + words[1:]
