"""Linear predictors by convex problems: least squares and logistic regressions for the measures that need them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

PENALTY = 1e-3


def standardised_by(reference: Tensor, values: Tensor) -> Tensor:
    """Values `(n, d)` with the mean and deviation of a reference taken out, and a column of ones: `(n, d + 1)`.

    A column that does not vary in the reference is 0.

    >>> standardised_by(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0]]))
    tensor([[0., 1.]])
    """
    deviation = reference.std(0)
    scaled = torch.where(deviation > 0, (values - reference.mean(0)) / deviation, 0.0)
    return torch.cat([scaled, torch.ones_like(values[:, :1])], dim=1)


def minimised(loss: Callable[[Tensor], Tensor], start: Tensor, steps: int = 100) -> Tensor:
    """Where a smooth convex function of a tensor is least, by L-BFGS.

    >>> minimised(lambda w: (w - 3).square().sum(), torch.zeros(2))
    tensor([3., 3.])
    """
    weight = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weight], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(weight)
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(closure)
    return weight.detach()


def softmax_regression(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """The weights `(d, classes)` that tell classes `(n,)` from rows `(n, d)`, with a slight penalty on their size."""

    def loss(weight: Tensor) -> Tensor:
        return cross_entropy(x @ weight, y) + PENALTY * weight.square().mean()

    return minimised(loss, x.new_zeros(x.shape[1], classes))
