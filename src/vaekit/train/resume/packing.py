"""Nested states taken apart: tensors by name, and everything else as JSON can hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from vaekit.common.errors import UsageError

TENSOR, TUPLE, PAIRS = "$tensor", "$tuple", "$pairs"
"""Keys that say what an object of JSON stands for, where it is not a mapping from names."""
PLAIN: Final = (bool, int, float, str, type(None))


class Packed(NamedTuple):
    """A state in two parts: tensors that share no memory, by their path, and a record that says where they belong."""

    tensors: dict[str, Tensor]
    record: Any


def packed(state: object) -> Packed:
    """Take a state of mappings, lists, tuples, tensors, numbers and strings apart.

    Raises `UsageError` for anything else, which would have to be pickled.

    >>> packed({"step": 3, "moments": {0: torch.zeros(2)}}).record
    {'step': 3, 'moments': {'$pairs': [[0, {'$tensor': 'moments/0'}]]}}
    >>> unpacked(packed({"betas": (0.9, 0.99)}))
    {'betas': (0.9, 0.99)}
    """
    tensors: dict[str, Tensor] = {}
    return Packed(tensors, _packed(state, (), tensors))


def _packed(value: object, path: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    match value:
        case Tensor():
            return {TENSOR: _kept(value, "/".join(path), tensors)}
        case Mapping():
            return _packed_mapping(value, path, tensors)
        case list():
            return _packed_items(value, path, tensors)
        case tuple():
            return {TUPLE: _packed_items(value, path, tensors)}
        case _ if isinstance(value, PLAIN):
            return value
    raise UsageError(f"{'/'.join(path)} is a {type(value).__name__}, which a checkpoint cannot keep: train without one")


def _kept(value: Tensor, name: str, tensors: dict[str, Tensor]) -> str:
    while name in tensors:
        name += "'"
    tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    return name


def _packed_mapping(mapping: Mapping[Any, Any], path: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    pairs = [(key, _packed(value, (*path, str(key)), tensors)) for key, value in mapping.items()]
    named = all(isinstance(key, str) and not key.startswith("$") for key in mapping)
    return dict(pairs) if named else {PAIRS: [[_packed(key, path, {}), value] for key, value in pairs]}


def _packed_items(items: list[Any] | tuple[Any, ...], path: tuple[str, ...], tensors: dict[str, Tensor]) -> list[Any]:
    return [_packed(value, (*path, str(number)), tensors) for number, value in enumerate(items)]


def unpacked(state: Packed) -> Any:
    """The state as it was, its tensors on the CPU and each with memory of its own."""
    return _unpacked(state.record, state.tensors)


def _unpacked(record: Any, tensors: Mapping[str, Tensor]) -> Any:
    match record:
        case {"$tensor": name}:
            return tensors[name].clone()
        case {"$tuple": items}:
            return tuple(_unpacked(item, tensors) for item in items)
        case {"$pairs": pairs}:
            return {_unpacked(key, {}): _unpacked(value, tensors) for key, value in pairs}
        case dict():
            return {key: _unpacked(value, tensors) for key, value in record.items()}
        case list():
            return [_unpacked(item, tensors) for item in record]
    return record
