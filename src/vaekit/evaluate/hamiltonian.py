"""Hamiltonian Monte Carlo: moves that leave a density as it is, by following its gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]
"""From points `(n, coordinates)` to their log-densities `(n,)`, each up to a constant of its own row."""


@dataclass(frozen=True)
class Move:
    """Where each chain is after a move, `(n, coordinates)`, and the probability with which it was accepted, `(n,)`."""

    position: Tensor
    acceptance: Tensor


def hamiltonian_move(log_density: LogDensity, position: Tensor, step_size: Tensor, leapfrogs: int) -> Move:
    """One move of many chains, each with a fresh momentum and its own step size.

    It leaves the density invariant and is reversible. A path that runs into a density that is not finite is rejected.

    Args:
        log_density: of the target; only differences within a row matter.
        position: `(n, coordinates)`.
        step_size: `(n,)`.
        leapfrogs: steps of the leapfrog integrator.

    Source: Duane, Kennedy, Pendleton and Roweth, 1987; Neal, 2011.

    >>> move = hamiltonian_move(lambda u: -u.square().sum(1) / 2, torch.zeros(4, 2), torch.full((4,), 1e-3), 3)
    >>> bool((move.acceptance > 0.99).all())
    True
    """
    momentum = torch.randn_like(position)
    start = Phase(position, momentum, *_with_gradient(log_density, position))
    end = start
    for _ in range(leapfrogs):
        end = _leapfrog(log_density, end, step_size.unsqueeze(1))
    acceptance = (end.log_density - start.log_density).clamp(max=0).exp().nan_to_num(0.0)
    accepted = torch.rand_like(acceptance) < acceptance
    return Move(torch.where(accepted.unsqueeze(1), end.position, position), acceptance)


@dataclass(frozen=True)
class Phase:
    """A point in phase space, with the log-density of its position and the gradient of that."""

    position: Tensor
    momentum: Tensor
    log_density_of_position: Tensor
    gradient: Tensor

    @property
    def log_density(self) -> Tensor:
        """Of position and momentum together, `(n,)`."""
        return self.log_density_of_position - self.momentum.square().sum(1) / 2


def _leapfrog(log_density: LogDensity, at: Phase, step_size: Tensor) -> Phase:
    halfway = at.momentum + step_size / 2 * at.gradient
    position = at.position + step_size * halfway
    value, gradient = _with_gradient(log_density, position)
    return Phase(position, halfway + step_size / 2 * gradient, value, gradient)


def _with_gradient(log_density: LogDensity, position: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        position = position.detach().requires_grad_()
        value = log_density(position)
        (gradient,) = torch.autograd.grad(value.sum(), position)
    return value.detach(), gradient
