"""The terms that objectives are written with; z stands for all latents of a model, and w for p(x, z) / q(z | x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vaekit.core.notation import Formula, Symbol, words_of
from vaekit.objectives.schedules import Constant, Schedule

LIKELIHOOD: Final = "E_q[log p(x | z)]"
RATE: Final = "KL(q(z | x) ‖ p(z))"
ELBO: Final = f"{LIKELIHOOD} − {RATE}"
WEIGHT: Final = Symbol("wₖ", "p(x, zₖ) / q(zₖ | x), with zₖ drawn from q(z | x)")


@dataclass(frozen=True)
class Weighed:
    """A term with its weight before it: a number as it is, a schedule by a symbol that is explained.

    >>> print(Weighed.by(Constant(4.0), "β", RATE).text)
    4 KL(q(z | x) ‖ p(z))
    """

    text: str
    symbols: tuple[Symbol, ...] = ()

    @staticmethod
    def by(weight: Schedule, symbol: str, text: str) -> Weighed:
        """The term times the weight; of a weight of 0 nothing is left."""
        if not isinstance(weight, Constant):
            return Weighed(f"{symbol} {text}", (Symbol(symbol, words_of(weight)),))
        if not weight.value:
            return Weighed("")
        return Weighed(text if weight.value == 1 else f"{weight.value:g} {text}")


def less(first: str, *rest: str) -> str:
    """A difference, in which what is empty is left out.

    >>> less("a", "b", "")
    'a − b'
    """
    return " − ".join([first, *(text for text in rest if text)])


def plus_gradient(name: str, body: str, gradient: str, symbols: tuple[Symbol, ...] = ()) -> Formula:
    """A value to be maximised, and the way to its gradient where that is not the plain one."""
    way = (Symbol(f"∇{name}", gradient),) if gradient else ()
    return Formula(name, "=", body, symbols=(*symbols, *way))
