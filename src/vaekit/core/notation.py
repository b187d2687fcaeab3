"""Notation: how parts of a model and of an objective are written as formulas, each by its own word.

A part says how it is written by one method, and what is told of a model is put together from these:

- a family, a net or a scale is a term of what it reads: `written(reads)`, see `Written`;
- a conditional, a node or an objective is a statement about what it makes: `formula(name)`, see `Formulated`.

A part without the method is written by the name of its class, so nobody has to write formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor
from torch.distributions import Normal


@dataclass(frozen=True)
class Symbol:
    """What a symbol stands for, and of which shape it is for one example; None where it is no tensor.

    >>> Symbol("z", "latent", (20,)).extent
    '20'
    >>> Symbol("x", "data", (1, 28, 28)).extent
    '1 × 28 × 28'
    """

    name: str
    meaning: str
    shape: tuple[int, ...] | None = None

    @property
    def extent(self) -> str:
        """The shape in words."""
        return " × ".join(map(str, self.shape or ()))


@dataclass(frozen=True)
class Formula:
    """A statement, the statements it rests on, and the symbols it brings along.

    >>> print(Formula("z | x", "~", "N(μ(x), diag σ(x)²)"))
    z | x ~ N(μ(x), diag σ(x)²)
    """

    head: str
    relation: str
    body: str
    where: tuple[Formula, ...] = ()
    """Statements about what the body reads and nobody else names."""
    symbols: tuple[Symbol, ...] = ()

    def __str__(self) -> str:
        return f"{self.head} {self.relation} {self.body}"

    @property
    def statements(self) -> tuple[Formula, ...]:
        """What it rests on, then itself."""
        return (*(each for formula in self.where for each in formula.statements), self)

    @property
    def all_symbols(self) -> tuple[Symbol, ...]:
        """The symbols of all its statements, each once."""
        return tuple(dict.fromkeys(symbol for formula in self.statements for symbol in formula.symbols))


@runtime_checkable
class Written(Protocol):
    """A family, a net or a scale that says how it is written, as a term of what it reads."""

    def written(self, reads: str) -> str:
        """The term: `N(μ(x), diag σ(x)²)` of a normal that reads `x`. With nothing read, parameters stand alone."""
        ...


@runtime_checkable
class Formulated(Protocol):
    """A conditional, a node or an objective that says what it makes of what it reads."""

    def formula(self, name: str) -> Formula:
        """The statement about the value called `name`."""
        ...


@runtime_checkable
class Worded(Protocol):
    """A setting that says in a few words what it is: a schedule, a set of codes, a way to a gradient."""

    @property
    def words(self) -> str:
        """The words."""
        ...


def words_of(setting: object) -> str:
    """A setting in words: its own, or a number as it is, or the name of what it is made of.

    >>> words_of(0.5), words_of(constant)
    ('0.5', 'constant')
    """
    if isinstance(setting, Worded):
        return setting.words
    if isinstance(setting, int | float):
        return f"{setting:.4g}"
    return str(getattr(setting, "__name__", type(setting).__name__))


def at(symbol: str, reads: str) -> str:
    """A symbol as a function of what is read.

    >>> at("μ", "x, y"), at("μ", "")
    ('μ(x, y)', 'μ')
    """
    return f"{symbol}({reads})" if reads else symbol


def term(part: object, reads: str, otherwise: str | None = None) -> str:
    """How a family, a net or a scale is written; by the name of its class where it does not say.

    >>> term(Normal(0.0, 1.0), "x")
    'Normal(x)'
    """
    return part.written(reads) if isinstance(part, Written) else at(otherwise or type(part).__name__, reads)


def subject(name: str, given: Sequence[str]) -> str:
    """A value and what it is conditioned on.

    >>> subject("z1", ("x", "z2")), subject("z", ())
    ('z1 | x, z2', 'z')
    """
    return f"{name} | {', '.join(given)}" if given else name


def density(letter: str, name: str, given: Sequence[str]) -> str:
    """A density of a value: `p(z | y)`."""
    return f"{letter}({subject(name, given)})"


def formula_of(part: object, name: str) -> Formula:
    """The statement a part makes; that it draws the value by its class, where it makes none."""
    if isinstance(part, Formulated):
        return part.formula(name)
    given: Sequence[str] = getattr(part, "given", ())
    return Formula(subject(name, given), "~", term(part, ", ".join(given)))


def constant(value: Tensor) -> str | None:
    """The one number that a tensor holds, or None where its values differ."""
    first = value.flatten()[0]
    return f"{float(first):g}" if bool((value == first).all()) else None


def normal_law(loc: str, scale: str) -> str:
    """A normal of independent coordinates by its parameters.

    >>> normal_law("0", "1"), normal_law("loc", "0.5")
    ('N(0, I)', 'N(loc, 0.5² I)')
    """
    return f"N({loc}, {'I' if scale == '1' else f'{scale}² I'})"


LAWS: dict[object, Callable[..., str]] = {Normal: normal_law}
"""How distributions that know of no notation are written, from how their parameters are: by keyword."""


def fixed_law(make: Callable[..., object], params: Mapping[str, Tensor]) -> str:
    """A distribution whose parameters do not change: numbers where all coordinates agree, else their names."""
    values = {name: constant(value) or name for name, value in params.items()}
    plain = f"{getattr(make, '__name__', 'law')}({', '.join(values.values())})"
    return LAWS[make](**values) if make in LAWS else plain
