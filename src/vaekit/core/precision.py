"""Precision: nets may compute in fewer bits; densities, bounds and their sums never do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from vaekit.core.conditional import Deterministic


@dataclass(frozen=True)
class Precision:
    """What nets compute in; weights, and what follows a net, stay as they are.

    What a net answers is turned back into the type of what it read, so that parameters of distributions, log
    probabilities and KLs are those of full precision given the net's answer. With `tensor_cores` a GPU may multiply
    matrices of float32 with fewer bits of mantissa (TF32).

    >>> from vaekit.core import Parametric
    >>> from vaekit.families import Bernoulli
    >>> decoder = Parametric(nn.Linear(2, 3), Bernoulli(), given="z")
    >>> with Precision(torch.bfloat16).of(decoder):
    ...     decoder({"z": torch.zeros(1, 5, 2)}).log_prob(torch.zeros(3)).dtype
    torch.float32
    """

    nets: torch.dtype | None = None
    tensor_cores: bool = False

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[None]:
        """Let every net of a model compute in this precision inside the block."""
        before = torch.get_float32_matmul_precision()
        if self.tensor_cores and any(weight.is_cuda for weight in model.parameters()):
            torch.set_float32_matmul_precision("high")
        _compute_in(model, self.nets)
        try:
            yield
        finally:
            _compute_in(model, None)
            torch.set_float32_matmul_precision(before)


def _compute_in(model: nn.Module, dtype: torch.dtype | None) -> None:
    for part in model.modules():
        if isinstance(part, Deterministic):
            part.net_dtype = dtype
