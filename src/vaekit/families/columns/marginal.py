"""How one column of a table is explained: numbers that were fitted to it, and that a file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from vaekit.common.errors import ModelFileError


@dataclass(frozen=True)
class Marginal:
    """One column's family, its levels, and what was fitted to its values; a model of tables is made of these.

    A cell is one number on the column's natural scale: the number itself, or the index of a level; NaN is missing.

    >>> coin = Marginal("bernoulli", levels=2, start=(0.5, 0.5))
    >>> coin.to_config()
    {'family': 'bernoulli', 'levels': 2, 'start': [0.5, 0.5]}
    >>> Marginal.from_config(coin.to_config()) == coin
    True
    """

    family: str
    """A name in `COLUMN_FAMILIES`."""
    levels: int = 0
    """How many levels it has; 0 for numbers."""
    start: tuple[float, ...] = ()
    """Where the family's parameters start: shares of levels or of atoms, mean and dispersion of counts."""
    warp: str = "standardise"
    """A name in `WARPS`: the reversible map between the numbers and values at unit scale."""
    shape: tuple[float, ...] = (0.0, 1.0)
    """The numbers of that map."""
    atoms: tuple[float, ...] = ()
    """Values that numbers have exactly, again and again, as 0 for a sum that is seldom paid."""
    holes: bool = False
    """Whether cells were missing in what it was fitted to."""

    def to_config(self) -> dict[str, Any]:
        """What a config file has of it: what is not as by default."""
        by_default = {field.name: field.default for field in fields(self)}
        told = {name: value for name, value in asdict(self).items() if value != by_default[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Marginal:
        """The marginal that `to_config` wrote.

        Raises `ModelFileError` for a key that no marginal has.
        """
        if strange := sorted(set(config) - {field.name for field in fields(cls)}):
            raise ModelFileError(
                f"a column has no {strange[0]!r}: this model is of another vaekit, so load it with that"
            )
        told: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in config.items()
        }
        return cls(**told)
