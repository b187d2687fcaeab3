"""Functions of tensors, recorded as the plain operations they consist of."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_map

from vaekit.common.seeds import seeded

OFTEN: Final = 16
"""Calls before a function is recorded: recording takes a second or so, which shorter runs would not win back."""


class Traced:
    """A function that is recorded once it has been called often with arguments of the same form, and replayed after.

    What a transformed function costs beside its operations (`vmap` of `grad` asks Python and two layers of dispatch
    about each) is then paid no more; the operations, their order and their draws are the same. The function may
    change its arguments in place, but nothing else, and must do the same operations at each call with a form.

    >>> double = Traced(lambda x: 2 * x, "cpu")
    >>> [float(double("a number", torch.tensor(float(n)))) for n in range(20)] == [2.0 * n for n in range(20)]
    True
    """

    def __init__(self, function: Callable[..., Any], device: torch.device | str) -> None:
        self.function, self.device = function, device
        self._calls: Counter[Hashable] = Counter()
        self._recorded: dict[Hashable, Callable[..., Any]] = {}

    def __call__(self, form: Hashable, *args: Any) -> Any:
        """The function's answer to arguments of this form."""
        self._calls[form] += 1
        if self._calls[form] == OFTEN:
            self._recorded[form] = self._record(args)
        return self._recorded.get(form, self.function)(*args)

    def _record(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        """Recording calls the function: it gets copies, and its draws are given back; some cannot be recorded."""
        copies = tree_map(_copy, args)
        try:
            with seeded(0, self.device), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                recorded: Callable[..., Any] = make_fx(lambda *given: self.function(*given))(*copies)
        except Exception:
            return self.function
        return recorded


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
