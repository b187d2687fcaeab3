"""Optimisers that take no part in compiling: torch's to the bit, and nothing of its compiler is loaded for a step."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vaekit.common.seeds import seeded
from vaekit.train.steps.eager import eager

KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "decayed adam": (torch.optim.Adam, {"fused": True, "weight_decay": 0.1, "amsgrad": True}),
    "a rate that is a tensor": (torch.optim.Adam, {"fused": True, "lr": torch.tensor(1e-2)}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "adamax": (torch.optim.Adamax, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "lr": 1e-3}),
}
every_kind = pytest.mark.parametrize("name", KINDS)


def steps(net: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> list[Tensor]:
    """The weights after so many steps towards a smaller sum of squares."""
    for _ in range(count):
        optimizer.zero_grad()
        net(torch.ones(5, 3)).square().sum().backward()
        optimizer.step()
    return [weight.detach().clone() for weight in net.parameters()]


def made(kind: Any, options: dict[str, Any]) -> tuple[nn.Module, torch.optim.Optimizer]:
    with seeded(0):
        net = nn.Linear(3, 4)
    return net, kind(net.parameters(), **options)


@every_kind
def test_steps_are_torchs_to_the_bit(name: str) -> None:
    kind, options = KINDS[name]
    own, torchs = (steps(*made(each, options), count=7) for each in (eager(kind), kind))
    assert all(map(torch.equal, own, torchs))


@every_kind
def test_what_torchs_has_kept_is_taken_up(name: str) -> None:
    kind, options = KINDS[name]
    net, torchs = made(kind, options)
    steps(net, torchs, count=3)
    other, own = made(eager(kind), options)
    other.load_state_dict(net.state_dict())
    own.load_state_dict(deepcopy(torchs.state_dict()))
    assert all(map(torch.equal, steps(other, own, count=4), steps(net, torchs, count=4)))


FIRST_STEPS = """
import sys, torch, vaekit
for optimizer in ("adam", "adamw", "adamax", "sgd", "momentum"):
    model, objective = vaekit.build("vae", (6,), latent=2)
    vaekit.fit(model, objective, torch.rand(32, 6), max_epochs=1, device="cpu", optimizer=optimizer, verbose=False)
print([name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules])
"""


def test_no_compiler_is_loaded_for_a_step() -> None:
    answer = subprocess.run([sys.executable, "-c", FIRST_STEPS], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
