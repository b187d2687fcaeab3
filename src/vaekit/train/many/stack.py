"""Many models of one make as one: their weights stacked, every operation done for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.overrides import TorchFunctionMode

from vaekit.core import Batch
from vaekit.objectives import Schedule, Step, Terms
from vaekit.objectives.schedules import Constant, schedule
from vaekit.train.judges import judge_of
from vaekit.train.many.alike import Number, Place, numbers_apart
from vaekit.train.means import entries_of, evaluating
from vaekit.train.steps.joint import Joint
from vaekit.train.steps.traced import Traced

Values = dict[str, Tensor]
"""Weights and buffers by their path, `(member, *shape)` each."""
MODEL: Final = "model."
"""How the paths of the model's own values begin; the others are the objective's."""


@dataclass(frozen=True)
class Told(Schedule):
    """A schedule that answers what it was told: the value of the member whose turn it is."""

    value: Tensor
    steps: int = 1

    def __call__(self, step: Tensor) -> Tensor:
        return self.value


class Numbers:
    """What sets the members apart, a tensor `(member,)` for each place, and how a module comes to read it there."""

    def __init__(self, apart: Mapping[Place, Sequence[Number]], device: torch.device) -> None:
        self.schedules = {place: [schedule(number) for number in numbers] for place, numbers in apart.items()}
        self.scheduled = {place for place, numbers in apart.items() if isinstance(numbers[0], Schedule)}
        first = Step.first(device).count
        self._lasting = {place: _at(found, first) for place, found in self.schedules.items() if _last(found)}

    def at(self, step: Step) -> dict[Place, Tensor]:
        """The numbers at a step."""
        return {place: self._at(place, step.count) for place in self.schedules}

    def _at(self, place: Place, count: Tensor) -> Tensor:
        return self._lasting[place] if place in self._lasting else _at(self.schedules[place], count)

    @contextmanager
    def told(self, template: nn.Module, numbers: Mapping[Place, Tensor]) -> Iterator[None]:
        """Let the template's modules have these numbers inside the block."""
        parts = {place: vars(template.get_submodule(place[0])) for place in numbers}
        before = {place: parts[place][place[1]] for place in numbers}
        try:
            for place, number in numbers.items():
                parts[place][place[1]] = Told(number) if place in self.scheduled else number
            yield
        finally:
            for place, number in before.items():
                parts[place][place[1]] = number


def _last(schedules: Sequence[Schedule]) -> bool:
    return all(isinstance(each, Constant) for each in schedules)


def _at(schedules: Sequence[Schedule], count: Tensor) -> Tensor:
    return torch.stack([each(count) for each in schedules])


class FreshForEach(TorchFunctionMode):
    """A scope in which memory that waits for draws is every member's own, as `torch.empty(n).normal_()` expects it.

    Without it torch refuses to fill, in place and differently for each member, a tensor that all of them share.
    """

    def __init__(self, nought: Tensor) -> None:
        super().__init__()
        self.nought = nought

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if func is torch.empty and made.is_floating_point():
            return made + self.nought.to(made.dtype)
        return made


class Stack:
    """Models with their objectives as one function of a batch for each of them.

    The first of them is the template through which all are called; draws are different for each. Batches are
    `(member, batch, *event)`. Raises `NotTogether` where the members differ in more than numbers.
    """

    def __init__(self, members: Sequence[Joint], device: torch.device) -> None:
        self.template, self.size = members[0], len(members)
        self.numbers = Numbers(numbers_apart(members), device)
        self.learned_of: tuple[str, ...] = ()
        self.looked_at: tuple[str, ...] = ()
        weights, buffers = stack_module_state(list(members))
        self.learned = {name: nn.Parameter(value.detach()) for name, value in weights.items() if value.requires_grad}
        frozen = {name: value for name, value in weights.items() if not value.requires_grad}
        self.held: Values = {name: value.detach() for name, value in (frozen | buffers).items()}
        self._nought = torch.zeros(self.size, device=device)
        self._looking = Joint(self.template.model, judge_of(self.template.objective))
        learn = vmap(grad(self._loss, has_aux=True), in_dims=(0, 0, None), randomness="different")
        look = vmap(self._elbo, in_dims=(0, 0, None), randomness="different")
        self._learn, self._look = Traced(learn, device), Traced(look, device)

    @property
    def values(self) -> Values:
        """All weights and buffers as they are now."""
        return {**{name: weight.detach() for name, weight in self.learned.items()}, **self.held}

    def gradient(self, batch: Batch, step: Step) -> tuple[Values, Tensor]:
        """The gradient of every member's loss, and its mean terms, `(member, terms)`.

        What the members keep in buffers moves on.
        """
        learned = {name: weight.detach() for name, weight in self.learned.items()}
        rest = (self.held, self.numbers.at(step), batch.x, dict(batch.given), self._nought)
        gradient, (held, terms) = self._learn(batch.x.shape, learned, rest, step.count)
        for name, value in held.items():
            if value.data_ptr() != self.held[name].data_ptr():
                self.held[name].copy_(value)
        return gradient, terms

    def look(self, values: Values, batch: Batch, step: Step) -> Tensor:
        """The mean terms of every member's judge with these values, `(member, terms)`."""
        of_model = {name: value for name, value in values.items() if name.startswith(MODEL)}
        numbers = {place: number for place, number in self.numbers.at(step).items() if place[0].startswith(MODEL)}
        rest = (numbers, batch.x, dict(batch.given), self._nought)
        with torch.no_grad(), evaluating(self._looking):
            terms: Tensor = self._look(batch.x.shape, of_model, rest, step.count)
        return terms

    def _loss(self, learned: Values, rest: tuple[Any, ...], count: Tensor) -> tuple[Tensor, tuple[Values, Tensor]]:
        held, *others = rest
        values = {**learned, **held}
        terms = self._ask(self.template, values, others, count)
        entries = entries_of(terms)
        self.learned_of = entries.names
        return -terms.value.mean(), ({name: values[name] for name in held}, entries.rows[0])

    def _elbo(self, values: Values, others: Sequence[Any], count: Tensor) -> Tensor:
        entries = entries_of(self._ask(self._looking, values, others, count))
        self.looked_at = entries.names
        return entries.rows[0]

    def _ask(self, joint: Joint, values: Values, others: Sequence[Any], count: Tensor) -> Terms:
        """One member's terms; what its buffers come to hold is written into the values."""
        numbers, x, given, nought = others
        with self.numbers.told(joint, numbers), FreshForEach(nought):
            terms: Terms = functional_call(joint, values, (Batch(x, given), Step(count)))
        return terms
