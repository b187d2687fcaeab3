"""A small classifier, trained: for features of labelled data, and to tell two sets of draws apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vaekit.common.chunks import by_rows


def fit_classifier(
    net: nn.Module, x: Tensor, y: Tensor, epochs: int, batch_size: int = 128, rate: float = 1e-3
) -> None:
    """Train a net from x `(n, *event)` to logits `(n, classes)` of labels `(n,)`, by Adam on the cross-entropy."""
    optimizer = torch.optim.Adam(net.parameters(), rate)
    with torch.enable_grad():
        for _ in range(epochs):
            for rows in torch.randperm(len(x), device=x.device).split(batch_size):
                optimizer.zero_grad()
                cross_entropy(net(x[rows]), y[rows]).backward()
                optimizer.step()
    net.eval()


def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of rows whose label has the largest logit."""
    return float((by_rows(net, x).argmax(1) == y).double().mean())
