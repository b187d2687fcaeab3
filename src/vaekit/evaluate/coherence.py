"""Coherence of topics: whether the words that a topic puts together come together in documents."""

from __future__ import annotations

import torch
from torch import Tensor


def npmi(topics: Tensor, documents: Tensor, words: int = 10) -> Tensor:
    r"""Normalised pointwise mutual information of each topic's likeliest words, a mean over their pairs, `(topic,)`.

    .. math:: \mathrm{NPMI}(v, w) = \frac{\log \frac{p(v, w)}{p(v) \, p(w)}}{-\log p(v, w)}

    with p(v) the share of documents that hold the word v. It is 1 for words that only come together, 0 for words that
    know nothing of each other, and -1 for words that never meet.

    Args:
        topics: how much each topic has of each word, `(topic, word)`.
        documents: counts of words, `(document, word)`.
        words: how many of a topic's words are looked at.

    Source: Lau, Newman and Baldwin, 2014.

    >>> documents = torch.tensor([[1.0, 1, 0, 0], [2, 1, 0, 0], [0, 0, 1, 1]])
    >>> npmi(torch.tensor([[0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0]]), documents, words=2)
    tensor([ 1.0000, -1.0000])
    """
    holds = (documents > 0).to(topics.dtype)
    top = topics.topk(words, dim=1).indices
    return torch.stack([_coherence(holds[:, chosen]) for chosen in top])


def _coherence(holds: Tensor) -> Tensor:
    """The mean over pairs of words, from which documents hold which, `(document, word)`."""
    together = holds.T @ holds / len(holds)
    alone = together.diagonal()
    information = (together / (alone.unsqueeze(1) * alone)).log() / -together.log()
    pairs = torch.ones_like(together).triu(diagonal=1).bool()
    return information.masked_fill(together == 0, -1.0)[pairs].nan_to_num(0.0).mean()
