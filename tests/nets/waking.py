from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def awake(net: Net) -> Net:
    """The net in float64 with its zero weights moved, so that no residual branch is silent."""
    net = net.double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net
