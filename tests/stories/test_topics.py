"""Topics: those that documents were made of are found again, and those of real news hang together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Size, Tensor, nn
from torch.distributions import Dirichlet, Multinomial
from torch.distributions import Normal as Bell

import vaekit
from vaekit import VAE, Elbo, Fixed, Latent, Parametric
from vaekit.evaluate import log_evidence, npmi
from vaekit.families import Multinomial as Words
from vaekit.families import Normal
from vaekit.nets import Dense
from vaekit.objectives import Cosine

NEWS = Path(__file__).parents[3] / "shared" / "data" / "bbc_news"


class LogCounts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.log1p()


class Topics(nn.Module):
    def __init__(self, topics: int, words: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(0.1 * torch.randn(topics, words))

    def forward(self, z: Tensor) -> Tensor:
        return (z.softmax(1) @ self.logits.softmax(1)).log()


def topic_model(topics: int, words: int) -> VAE:
    shares = Fixed(Bell, loc=torch.zeros(topics), scale=torch.full((topics,), 2.0))
    guess = nn.Sequential(LogCounts(), Dense(hidden=(64,)).down([Size((words,))], Size((2 * topics,))))
    likelihood = Parametric(Topics(topics, words), Words(total=80), given="z")
    return VAE(likelihood, z=Latent(shares, Parametric(guess, Normal(), given="x")))


def topics_of(model: VAE) -> Tensor:
    return model.likelihood.params.net.logits.detach().softmax(1)


def trained(documents: Tensor, topics: int, epochs: int, rate: float = 0.05) -> vaekit.FittedVAE:
    torch.manual_seed(0)
    steps = epochs * -(-len(documents) // 100)
    settings = {"max_epochs": epochs, "batch_size": 100, "validation": 0.0, "clip": 10.0, "verbose": False}
    model, schedule = topic_model(topics, documents.shape[1]), Cosine(rate, 0.001, steps)
    return vaekit.fit(model, Elbo(), documents, learning_rate=schedule, **settings)  # type: ignore[arg-type]


def test_the_topics_that_documents_were_made_of_are_found_again() -> None:
    topics = Dirichlet(torch.full((60,), 0.1)).sample((5,))
    shares = Dirichlet(torch.full((5,), 0.3)).sample((500,))
    fitted = trained(Multinomial(80, shares @ topics).sample(), topics=5, epochs=80)
    distance = (topics.unsqueeze(1) - topics_of(fitted.model)).abs().sum(-1) / 2
    one, other = linear_sum_assignment(distance.numpy())
    assert distance[one, other].max() < 0.1
    news = Multinomial(80, shares[:20] @ topics).sample()
    mixed = fitted.encode(news).softmax(1)[:, other]
    assert (mixed - shares[:20]).abs().sum(1).mean() / 2 < 0.15
    assert fitted.sample(3).sum(1).tolist() == [80.0] * 3


def test_the_evidence_of_a_document_is_that_of_a_sum_over_its_mixtures() -> None:
    """With two topics the shares lie on a line, and log p(x) is an integral over it."""
    model = topic_model(topics=2, words=6).double()
    with torch.no_grad():
        model.likelihood.params.net.logits.normal_()
    documents = Multinomial(30, torch.ones(6, dtype=torch.float64)).sample((4,))
    grid = torch.linspace(-15, 15, 4001, dtype=torch.float64)
    between = torch.stack([grid, torch.zeros_like(grid)], 1)
    log_lik = model.likelihood({"z": between.unsqueeze(1)}).log_prob(documents)
    log_mass = Bell(0.0, 8**0.5).log_prob(grid) + (grid[1] - grid[0]).log()
    truth = (log_lik + log_mass.unsqueeze(1)).logsumexp(0)
    found = log_evidence(model, documents, 20_000)
    assert ((found.log_evidence - truth).abs() < 6 * found.stderr + 1e-3).all()


def test_words_that_know_nothing_of_each_other_have_no_coherence() -> None:
    alone = (torch.rand(200_000, 4) < torch.tensor([0.5, 0.2, 0.7, 1.0])).float()
    pairs = torch.cat([alone[:, :3], alone[:, :1], 1 - alone[:, :1]], 1)
    found = npmi(torch.tensor([[1.0, 1, 1, 0, 0], [1, 0, 0, 1, 0], [1, 0, 0, 0, 1]]), pairs, words=2)
    assert found[0].abs() < 0.01
    torch.testing.assert_close(found[1:], torch.tensor([1.0, -1.0]))


@pytest.mark.skipif(not NEWS.exists(), reason="the BBC's news are not here")
def test_topics_of_real_news_hang_together() -> None:
    words = (NEWS / "vocabulary.txt").read_text(encoding="utf-8").split()
    number = {word: index for index, word in enumerate(words)}
    lines = [line.split("\t") for line in (NEWS / "corpus.tsv").read_text(encoding="utf-8").splitlines()]
    counts = torch.zeros(len(lines), len(words))
    for row, (text, *_) in zip(counts, lines, strict=True):
        index = torch.tensor([number[word] for word in text.split()])
        row.index_add_(0, index, torch.ones(len(index)))
    common = counts.sum(0).topk(600).indices
    documents = counts[::2][:, common]
    topics = topics_of(trained(documents, topics=5, epochs=30, rate=0.03).model)
    by_chance = npmi(torch.rand(5, 600), documents)
    assert npmi(topics, documents).mean() > by_chance.mean() + 0.1
