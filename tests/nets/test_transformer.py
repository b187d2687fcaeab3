from __future__ import annotations

import pytest
import torch

from vaekit.common.errors import UsageError
from vaekit.nets.transformer import CausalBlock, CausalTransformer


def test_token_by_token_a_block_says_what_it_says_of_the_whole() -> None:
    block, x = CausalBlock(width=8, heads=2), torch.randn(3, 5, 8)
    whole, _ = block(x)
    past, parts = None, []
    for token in x.split(1, 1):
        part, past = block(token, past)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole)


def test_a_token_moves_the_logits_after_it_alone() -> None:
    net, tokens = CausalTransformer(6, 4, width=8, layers=2, heads=2), torch.randint(4, (2, 6))
    logits = net(tokens)
    tokens[:, 3] = (tokens[:, 3] + 1) % 4
    moved = (net(tokens) - logits).abs().sum((0, 2)) > 0
    assert moved.tolist() == [False] * 4 + [True] * 2


def test_every_parameter_gets_a_gradient() -> None:
    net = CausalTransformer(5, 3, width=8, layers=2, heads=2)
    net(torch.randint(3, (16, 5))).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_sizes_that_make_no_net_are_refused() -> None:
    with pytest.raises(UsageError, match="below 1"):
        CausalTransformer(0, 4)
    with pytest.raises(UsageError, match="3 heads do not divide a width of 8"):
        CausalTransformer(5, 4, width=8, heads=3)
