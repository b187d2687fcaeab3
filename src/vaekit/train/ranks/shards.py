"""Tensors of which each rank may have but a piece, told apart without loading torch's code for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def is_sharded(value: Tensor) -> bool:
    """Whether this is one rank's piece of a tensor.

    >>> import torch
    >>> is_sharded(torch.zeros(3))
    False
    """
    return hasattr(value, "to_local")


def piece(value: Tensor) -> Tensor:
    """The piece that this rank has, as a plain tensor that shares its memory; a whole tensor is its own piece."""
    local: Tensor = value.to_local() if hasattr(value, "to_local") else value
    return local


def whole(value: Tensor) -> Tensor:
    """The whole tensor; for a sharded one every rank has to ask."""
    together: Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
    return together


def together(state: Any) -> Any:
    """A nested state of mappings, lists and tuples with every tensor whole; every rank has to ask.

    >>> together({"moments": [1, (2, 3)]})
    {'moments': [1, (2, 3)]}
    """
    match state:
        case Tensor():
            return whole(state)
        case Mapping():
            return {key: together(value) for key, value in state.items()}
        case list() | tuple():
            return type(state)(together(value) for value in state)
    return state


def like(value: Any, other: Tensor) -> Any:
    """A whole tensor as pieces on ranks, if one of its shape is; every rank has to ask. Anything else as it is.

    >>> import torch
    >>> like(torch.ones(2), torch.zeros(2))
    tensor([1., 1.])
    """
    if not isinstance(value, Tensor) or not is_sharded(other) or value.shape != other.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(other.device), other.device_mesh, other.placements)  # type: ignore[attr-defined]


def load_weights(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load whole weights into a module that may be in pieces; every rank has to."""
    own = module.state_dict()
    module.load_state_dict({name: like(value, own.get(name, value)) for name, value in state.items()})
