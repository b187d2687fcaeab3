"""Small fitted models of several kinds, each with what a report on it needs, and each made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

import vaekit
from vaekit.data import Dataset
from vaekit.evaluate import Evaluation
from vaekit.model import FittedVAE
from vaekit.report import report
from vaekit.report.subject import Subject


@dataclass(frozen=True)
class Case:
    """A fitted model, test rows, and how well it explains them."""

    fitted: FittedVAE
    test: Dataset
    evaluation: Evaluation

    @property
    def subject(self) -> Subject:
        return Subject.of(self.fitted, self.test, self.evaluation, {}, seed=0)

    def page(self, **options: object) -> str:
        return report(self.fitted, self.test, self.evaluation, **options)  # type: ignore[arg-type]


def case(recipe: str, x: Tensor, y: Tensor | None = None, *, epochs: int = 2, **options: object) -> Case:
    """A recipe fitted to the first two thirds of the rows and evaluated on the rest."""
    part = len(x) * 2 // 3
    model, objective = vaekit.build(recipe, tuple(x.shape[1:]), **options)
    train = Dataset(x[:part], name="toy data")
    fitted = vaekit.fit(model, objective, train, max_epochs=epochs, batch_size=32, verbose=False)
    test = Dataset(x[part:], None if y is None else y[part:], name="toy data test")
    return Case(fitted, test, fitted.evaluate(test, samples=8))


def rows(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@cache
def greys() -> Case:
    """Bytes as greys under a Bernoulli, with labels: not a likelihood."""
    x = (rows(240, 1, 8, 8) * 255).to(torch.uint8)
    return case("vae", x, torch.arange(240) % 4, latent=5, hidden=(32,))


@cache
def bits() -> Case:
    """Binary images, without labels: a likelihood."""
    return case("vae", rows(120, 1, 6, 6).round(), latent=3, hidden=(16,))


@cache
def table() -> Case:
    """Rows of values, under a heavier KL."""
    return case(
        "beta_vae", torch.randn(120, 4, generator=torch.Generator().manual_seed(2)), likelihood="normal", latent=2
    )


@cache
def colours() -> Case:
    """Colour images, with more labels than there are distinct colours."""
    return case("vae", rows(90, 3, 8, 8), torch.arange(90) % 30, likelihood="normal", latent=1, hidden=(16,))
