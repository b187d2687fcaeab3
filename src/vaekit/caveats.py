"""Caveats: what to know of a fit before relying on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from vaekit.about import About
from vaekit.evaluate import Evaluation

ENOUGH: Final = 10
"""Rows from which it can be told whether codes vary."""


@dataclass(frozen=True)
class Caveat:
    """Something that went wrong, and what it means and what could mend it."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


def caveats(about: About, evaluation: Evaluation) -> tuple[Caveat, ...]:
    """What to know of a model that was trained and evaluated so.

    >>> import torch, vaekit
    >>> model, objective = vaekit.build("beta_vae", (3,), latent=2, beta=1000.0)
    >>> fitted = vaekit.fit(model, objective, torch.rand(64, 3), max_epochs=20, validation=0, verbose=False)
    >>> [caveat.what for caveat in caveats(fitted.about, fitted.evaluate(torch.rand(64, 3), samples=5))]
    ['no latent is in use']
    """
    return tuple(caveat for known in KNOWN for caveat in known(about, evaluation))


def collapsed(about: About, evaluation: Evaluation) -> Iterator[Caveat]:
    """Whether the codes of all rows are alike."""
    if evaluation.terms.elbo is not None and evaluation.rows >= ENOUGH and evaluation.active_units == 0:
        mend = 'leave columns of many levels out (role = "ignore" in the schema), ' if about.schema is not None else ""
        yield Caveat(
            "no latent is in use",
            f"the codes of all rows are alike, so each is explained as any other would be; {mend}"
            "give more rows, or try the recipe free_bits_vae",
        )


def soon_over(about: About, _: Evaluation) -> Iterator[Caveat]:
    """Whether nothing was learned after the first epoch that held for rows it did not learn from."""
    epochs = about.history
    if len(epochs) > 1 and epochs[0].held_out is not None and about.training.get("best_epoch") == 1:
        yield Caveat(
            "the first epoch was the best",
            f"what was learned in the {len(epochs) - 1} after it did not hold for the held-out rows; "
            "give more rows, a smaller net, or a smaller learning rate",
        )


KNOWN: Final[tuple[Callable[[About, Evaluation], Iterator[Caveat]], ...]] = (collapsed, soon_over)
"""What is looked for."""
