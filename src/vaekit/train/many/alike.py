"""Models of one make: what sets them apart, where that is no more than numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial, singledispatch
from types import FunctionType, MethodType
from typing import Any

from torch import Tensor, nn

from vaekit.objectives import Schedule

Number = float | Schedule
Place = tuple[str, str]
"""The path of a module within a model, and the name of its attribute."""

_ASIDE = frozenset({*vars(nn.Module()), "blueprint", "is_bound"})
"""What a module holds that no step reads."""


class NotTogether(Exception):
    """Why models cannot be trained as one; the message ends a sentence that begins so."""


def numbers_apart(members: Sequence[nn.Module]) -> dict[Place, tuple[Number, ...]]:
    """The numbers and schedules that are not the same in all of these modules, by their place, one to each module.

    Raises `NotTogether` where anything else differs: parts, shapes, or settings that are no numbers.

    >>> from vaekit.objectives import Elbo
    >>> numbers_apart([Elbo(beta=1.0), Elbo(beta=4.0)])
    {('', 'beta'): (Constant(value=1.0, steps=1), Constant(value=4.0, steps=1))}
    >>> numbers_apart([Elbo(samples=2), Elbo(samples=3)])
    Traceback (most recent call last):
    vaekit.train.many.alike.NotTogether: samples differs between the models
    """
    _refuse_unlike([_build(member) for member in members], "the parts of the models differ")
    _refuse_unlike([_shapes(member) for member in members], "the shapes of the weights differ")
    return dict(_differences(members))


def _refuse_unlike(described: Sequence[object], complaint: str) -> None:
    if any(one != described[0] for one in described):
        raise NotTogether(complaint)


def _build(module: nn.Module) -> list[tuple[str, type]]:
    return [(name, type(part)) for name, part in module.named_modules()]


def _shapes(module: nn.Module) -> list[tuple[object, ...]]:
    values = (*module.named_parameters(), *module.named_buffers())
    return [(name, value.shape, value.dtype, value.requires_grad) for name, value in values]


def _differences(members: Sequence[nn.Module]) -> Iterator[tuple[Place, tuple[Number, ...]]]:
    for parts in zip(*(member.named_modules() for member in members), strict=True):
        path = parts[0][0]
        for attribute in sorted(vars(parts[0][1]).keys() - _ASIDE):
            values = tuple(vars(part).get(attribute) for _, part in parts)
            if all(same(values[0], value) for value in values):
                continue
            if not _are_numbers(values):
                raise NotTogether(f"{attribute}{f' of {path}' if path else ''} differs between the models")
            yield (path, attribute), values


def _are_numbers(values: tuple[Any, ...]) -> bool:
    """Whether all are schedules, or numbers that are not all whole: those may count something."""
    kinds = {type(value) for value in values}
    return all(issubclass(kind, Schedule) for kind in kinds) or (float in kinds and kinds <= {int, float})


def same(a: object, b: object) -> bool:
    """Whether two settings mean the same: by what they hold, also where they were made apart.

    >>> same([partial(max, 1), (2, "a")], [partial(max, 1), (2, "a")]), same(partial(max, 1), partial(max, 2))
    (True, False)
    """
    if a is b:
        return True
    return type(a) is type(b) and _content(a, b)


def _content(a: Any, b: Any) -> bool:
    ours, theirs = inside(a), inside(b)
    if ours is None or theirs is None:
        return bool(a == b)
    return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)


@singledispatch
def inside(thing: object) -> Mapping[Any, Any] | None:
    """What a setting consists of; None where it is to be compared as it is."""
    return vars(thing) if hasattr(thing, "__dict__") else None


@inside.register
def _(thing: Mapping) -> Mapping[Any, Any]:  # type: ignore[type-arg]
    return thing


@inside.register(tuple)
@inside.register(list)
def _(thing: Sequence[object]) -> Mapping[Any, Any]:
    return dict(enumerate(thing))


@inside.register
def _(thing: nn.Module) -> Mapping[Any, Any]:
    """Modules are compared where they are registered."""
    return {}


@inside.register
def _(thing: type) -> None:
    return None


@inside.register
def _(thing: Tensor) -> Mapping[Any, Any]:
    return {"shape": tuple(thing.shape), "values": thing.detach().cpu().numpy().tobytes()}


@inside.register
def _(thing: FunctionType) -> Mapping[Any, Any]:
    held = tuple(cell.cell_contents for cell in thing.__closure__ or ())
    return {"code": thing.__code__, "held": held, "defaults": (thing.__defaults__, thing.__kwdefaults__)}


@inside.register
def _(thing: MethodType) -> Mapping[Any, Any]:
    return {"function": thing.__func__, "of": thing.__self__}


@inside.register
def _(thing: partial) -> Mapping[Any, Any]:  # type: ignore[type-arg]
    return {"function": thing.func, "arguments": thing.args, "named": thing.keywords}
