"""Topics of the BBC's news, by the story of `docs/stories/topics.md`: their words, and how well these go together.

    python benchmarks/topics.py ../shared/data/bbc_news

The folder holds `corpus.tsv` (a document, its split and its class to a line) and `vocabulary.txt`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from sklearn.decomposition import LatentDirichletAllocation
from torch import Size, Tensor, nn
from torch.distributions import Normal as Bell

import vaekit
from vaekit import VAE, Elbo, Fixed, Latent, Parametric
from vaekit.evaluate import npmi
from vaekit.families import Multinomial, Normal
from vaekit.nets import Dense
from vaekit.objectives import Cosine

TOPICS = 10


class LogCounts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.log1p()


class Mixture(nn.Module):
    """Each word is of one topic: LDA."""

    def __init__(self, topics: int, words: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(0.1 * torch.randn(topics, words))

    def forward(self, z: Tensor) -> Tensor:
        return (z.softmax(1) @ self.logits.softmax(1)).log()


class Product(nn.Module):
    """Each word is of all topics at once, and of what all documents have in common: ProdLDA."""

    def __init__(self, topics: int, words: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(0.1 * torch.randn(topics, words))
        self.common = nn.Parameter(torch.zeros(words))

    def forward(self, z: Tensor) -> Tensor:
        return z.softmax(1) @ self.logits + self.common


def corpus(folder: Path, split: str) -> tuple[Tensor, list[str]]:
    """Counts of words, `(document, word)`, and the words."""
    words = (folder / "vocabulary.txt").read_text(encoding="utf-8").split()
    number = {word: index for index, word in enumerate(words)}
    lines = [line.split("\t") for line in (folder / "corpus.tsv").read_text(encoding="utf-8").splitlines()]
    texts = [text.split() for text, part, *_ in lines if part == split]
    counts = torch.zeros(len(texts), len(words))
    for row, text in zip(counts, texts, strict=True):
        index = torch.tensor([number[word] for word in text])
        row.index_add_(0, index, torch.ones(len(index)))
    return counts, words


def topic_model(net: nn.Module, topics: int, words: int) -> VAE:
    shares = Fixed(Bell, loc=torch.zeros(topics), scale=torch.full((topics,), 2.0))
    guess = nn.Sequential(LogCounts(), Dense(hidden=(100,)).down([Size((words,))], Size((2 * topics,))))
    likelihood = Parametric(net, Multinomial(), given="z")
    return VAE(likelihood, z=Latent(shares, Parametric(guess, Normal(), given="x")))


def main(folder: Path) -> None:
    counts, words = corpus(folder, "train")
    for Topics in (Product, Mixture):
        torch.manual_seed(0)
        net = Topics(TOPICS, len(words))
        bound = fitted_bound(topic_model(net, TOPICS, len(words)), counts)
        tell(f"vaekit, {Topics.__name__.lower()} of topics, ELBO {bound:.1f}", net.logits.detach(), counts, words)
    rival = LatentDirichletAllocation(TOPICS, random_state=0).fit(counts.numpy())
    tell("scikit-learn LDA", torch.tensor(rival.components_, dtype=torch.float32), counts, words)


def fitted_bound(model: VAE, counts: Tensor) -> float:
    """The ELBO of a document, in nats, once the model is fitted."""
    rate = Cosine(0.02, 0.001, 100 * -(-len(counts) // 100))
    settings: dict[str, Any] = {"max_epochs": 100, "batch_size": 100, "validation": 0.0, "clip": 10.0, "verbose": False}
    bound = vaekit.fit(model, Elbo(), counts, learning_rate=rate, **settings).history[-1].train.elbo
    assert bound is not None
    return bound


def tell(name: str, topics: Tensor, counts: Tensor, words: list[str]) -> None:
    coherence = npmi(topics, counts)
    print(f"\n{name}: NPMI {coherence.mean():.3f} over {len(topics)} topics")
    for found, topic in sorted(zip(coherence.tolist(), topics, strict=True), key=lambda pair: -pair[0]):
        print(f"{found:7.3f}  {' '.join(words[index] for index in topic.topk(8).indices)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
