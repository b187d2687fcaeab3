"""A causal transformer: the probabilities of each token of a sequence, given those before it."""

from __future__ import annotations

from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.nets.shapes import check_widths

Past: TypeAlias = tuple[Tensor, Tensor]
"""Keys and values of the tokens so far, `(n, heads, length, width / heads)`."""


class CausalBlock(nn.Module):
    """Attention to what came before, then a dense net on each token, both added to what they read.

    `(n, length, width)` to the same. Sources: Vaswani et al., 2017; Xiong et al., 2020 (normalised before, not after).

    >>> block = CausalBlock(width=8, heads=2)
    >>> whole, _ = block(torch.randn(3, 5, 8))
    >>> whole.shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.ask, self.answer = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """What becomes of a sequence, or of one more token after those in `past`; and the past with it."""
        query, key, value = self.ask(self.norm(x)).unflatten(-1, (3, self.heads, -1)).movedim(1, -2).unbind(1)
        if past is not None:
            key, value = torch.cat([past[0], key], -2), torch.cat([past[1], value], -2)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        x = x + self.answer(seen.transpose(1, 2).flatten(-2))
        return x + self.dense(x), (key, value)


class CausalTransformer(nn.Module):
    r"""Logits of :math:`p(t_i \mid t_{<i})` for each token of a sequence of fixed length.

    Tokens are whole numbers `(n, length)`; logits are `(n, length, vocabulary)`. All tokens are judged at once, and
    drawn one after the other with what was computed for the earlier ones kept.

    Raises `UsageError` for a size of 0, and a width that the heads do not divide.

    >>> net = CausalTransformer(length=5, vocabulary=7, width=8, layers=1, heads=2)
    >>> net(torch.zeros(3, 5, dtype=torch.long)).shape, net.draw(3).shape
    (torch.Size([3, 5, 7]), torch.Size([3, 5]))
    """

    def __init__(self, length: int, vocabulary: int, width: int = 128, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        check_widths("length, vocabulary, width, layers, heads", (length, vocabulary, width, layers, heads))
        if width % heads:
            raise UsageError(f"{heads} heads do not divide a width of {width}: choose a multiple of {heads}")
        self.length = length
        self.start = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.tokens = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.blocks = nn.ModuleList(CausalBlock(width, heads) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, vocabulary))

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits of every token, given those before it."""
        before = torch.cat([self.start.expand(len(tokens), 1, -1), self.tokens(tokens[:, :-1])], 1)
        x = before + self.places
        for block in self.blocks:
            x, _ = block(x)
        logits: Tensor = self.head(x)
        return logits

    @torch.no_grad()
    def draw(self, n: int) -> Tensor:
        """Sequences drawn token by token, `(n, length)`."""
        pasts: list[Past | None] = [None] * len(self.blocks)
        x, drawn = self.start.expand(n, 1, -1), list[Tensor]()
        for place in self.places:
            x = x + place
            for i, block in enumerate(self.blocks):
                x, pasts[i] = block(x, pasts[i])
            drawn.append(torch.distributions.Categorical(logits=self.head(x)).sample())
            x = self.tokens(drawn[-1])
        return torch.cat(drawn, 1)
