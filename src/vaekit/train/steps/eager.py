"""Optimisers of torch's as they are run here: step by step or recorded, never compiled themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import unwrap
from typing import Any, Final

import torch
from torch.optim import Optimizer

SHIELDED: Final = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
"""What torch shields from its compiler by a decorator, which loads the compiler at the first call."""


@cache
def eager(kind: type[Any]) -> Callable[..., Optimizer]:
    """This kind of optimiser, to the bit, without the decorators that keep torch's compiler out of it.

    Those load the compiler to tell it so, which takes longer than all else that is done before a first step.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> descent = eager(torch.optim.SGD)([weight], lr=0.5)
    >>> weight.sum().backward()
    >>> descent.step()
    >>> weight.detach(), isinstance(descent, torch.optim.SGD)
    (tensor([0.5000, 0.5000]), True)
    """
    bare = {name: unwrap(getattr(kind, name)) for name in SHIELDED}
    step = torch.no_grad()(unwrap(kind.step))
    return type(kind.__name__, (kind,), {**bare, "step": step, "__doc__": kind.__doc__})
