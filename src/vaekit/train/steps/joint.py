"""A model and its objective as one module."""

from __future__ import annotations

from torch import nn

from vaekit.core import VAE, Batch
from vaekit.objectives import Objective, Step, Terms


class Joint(nn.Module):
    """A model and its objective as one."""

    def __init__(self, model: VAE, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch, step: Step) -> Terms:
        """The terms of a batch."""
        terms: Terms = self.objective(self.model, batch, step)
        return terms
